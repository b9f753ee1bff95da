/* SPDX-License-Identifier: Apache-2.0 */
/* dvm up: all of dvm on one machine. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "cleanup.h"
#include "clock.h"
#include "commands.h"
#include "ini.h"
#include "layout.h"
#include "libvirtd.h"
#include "log.h"
#include "parse.h"
#include "state.h"
#include "supervisor.h"
#include "unix.h"

#define READY_TIMEOUT (120 * USEC_PER_SEC)

/* What stands in dvm.ini for us; everything else there is for the other programs. */
struct settings {
	char *listen, *uri, *ssh_port, *account;
};

static int take_setting(const char *section, const char *key, const char *value, unsigned line,
			void *user, struct fault *fault)
{
	struct settings *s = user;
	char **to = NULL;

	if (section && strcmp(section, "gate") == 0 && strcmp(key, "listen") == 0) {
		to = &s->listen;
	} else if (section && strcmp(section, "host") == 0 && strcmp(key, "uri") == 0) {
		to = &s->uri;
	} else if (section && strcmp(section, "door") == 0 && strcmp(key, "port") == 0) {
		to = &s->ssh_port;
	} else if (section && strcmp(section, "door") == 0 && strcmp(key, "account") == 0) {
		to = &s->account;
	} else if (section && strcmp(section, "door") == 0) {
		return fault_set(fault, FAULT_UNKNOWN_FIELD,
				 "line %u: there is no key %s in [door]", line, key);
	}
	if (to) {
		free(*to);
		*to = strdup(value);
		return *to ? 0 : -ENOMEM;
	}
	return 0;
}

static void settings_fini(struct settings *s)
{
	free(s->listen);
	free(s->uri);
	free(s->ssh_port);
	free(s->account);
}

static void nap(void)
{
	const struct timespec t = { .tv_nsec = 20 * 1000000L };

	nanosleep(&t, NULL);
}

/* Another supervisor has this state folder: waits until it is ready. -ESRCH: it went away. */
static int wait_for_other(const char *state, struct layout_up *ret, struct fault *fault)
{
	_cleanup_free_ char *lock = layout_path(state, "run/up.lock");
	usec_t end = clock_monotonic() + READY_TIMEOUT;

	if (!lock) {
		return -ENOMEM;
	}
	while (pid_lock_owner(lock) > 0) {
		struct layout_up up;

		if (layout_read_up(state, &up) == 0) {
			if (up.url) {
				*ret = up;
				return 0;
			}
			layout_up_fini(&up);
		}
		if (clock_monotonic() > end) {
			return fault_set(fault, FAULT_TIMEOUT,
					 "dvm is being started, but does not become ready");
		}
		nap();
	}
	return -ESRCH;
}

static int print_environment(const char *state, bool as_json, struct fault *fault)
{
	struct layout_up up;
	int r;

	r = wait_for_other(state, &up, fault);
	if (r < 0) {
		return r == -ESRCH ? fault_set(fault, FAULT_INTERNAL, "dvm stopped again") : r;
	}
	r = layout_print_environment(state, &up, as_json, fault);
	layout_up_fini(&up);
	return r;
}

/* The detached supervisor. Nothing here may return. */
static void child(struct supervisor_options *o)
{
	_cleanup_free_ char *log = layout_path(o->state, "log/up.log");
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct fault fault = { 0 };
	int r;

	setsid();
	if (chdir("/") < 0 || null_fd < 0) {
		_exit(fault_code_exit_status(FAULT_INTERNAL));
	}
	dup2(null_fd, STDIN_FILENO);
	/* Whoever reads our output with $(…) must not wait for us. */
	dup2(null_fd, STDOUT_FILENO);
	o->log_fd = log ? open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
	if (o->log_fd < 0) {
		o->log_fd = null_fd;
	}
	r = supervisor_run(o, &fault);
	if (r == -EEXIST) {
		_exit(0); /* somebody was faster; that one's environment is as good */
	}
	if (r < 0 && r != -EREMOTEIO) {
		fault_set(&fault, FAULT_INTERNAL, "%s", strerror(-r));
	}
	_exit(r < 0 ? cli_print_fault(&fault) : 0);
}

static int detach(struct supervisor_options *o, bool as_json, struct fault *fault)
{
	int fds[2], status = 0;
	char byte;
	ssize_t n;
	pid_t pid;

	n = layout_make(o->state, fault);
	if (n < 0) {
		return (int)n;
	}
	if (pipe2(fds, O_CLOEXEC) < 0) {
		return -errno;
	}
	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		return -errno;
	}
	if (pid == 0) {
		close(fds[0]);
		o->ready_fd = fds[1];
		child(o);
	}
	close(fds[1]);
	n = read(fds[0], &byte, 1);
	close(fds[0]);
	if (n != 1 && waitpid(pid, &status, 0) == pid && status != 0) {
		/* It has said why. */
		return WIFEXITED(status) ? WEXITSTATUS(status)
					 : fault_code_exit_status(FAULT_INTERNAL);
	}
	return print_environment(o->state, as_json, fault);
}

/* In the foreground the environment is printed by a child, because the supervisor does nothing but
 * supervise. */
static int foreground(struct supervisor_options *o, bool as_json, struct fault *fault)
{
	int fds[2], r;
	char byte;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0) {
		return -errno;
	}
	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		return -errno;
	}
	if (pid == 0) {
		struct fault own = { 0 };

		close(fds[1]);
		if (read(fds[0], &byte, 1) == 1) {
			print_environment(o->state, as_json, &own);
		}
		_exit(0);
	}
	close(fds[0]);
	o->ready_fd = fds[1];
	r = supervisor_run(o, fault);
	if (r == -EEXIST) {
		close(fds[1]);
		return print_environment(o->state, as_json, fault);
	}
	return r;
}

static int run(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_(settings_fini) struct settings settings = { 0 };
	_cleanup_free_ char *state = NULL;
	_cleanup_free_ char *ini = NULL;
	struct supervisor_options o = { .ready_fd = -1, .log_fd = -1 };
	struct door_options door;
	struct layout_up up;
	const char *ssh_port;
	bool as_json = args_has(args, "json");
	int r;

	r = state_dir(args_value(args, "state"), &state, fault);
	if (r < 0) {
		return r;
	}
	ini = layout_path(state, "dvm.ini");
	r = ini ? ini_parse_file(ini, take_setting, &settings, fault) : -ENOMEM;
	if (r < 0 && r != -ENOENT) {
		return r;
	}
	r = wait_for_other(state, &up, fault);
	if (r != -ESRCH) {
		if (r == 0) {
			r = layout_print_environment(state, &up, as_json, fault);
			layout_up_fini(&up);
		}
		return r;
	}
	o.state = state;
	o.uri = args_value(args, "uri") ? args_value(args, "uri")
		: settings.uri		? settings.uri
					: libvirtd_default_uri();
	o.listen = args_value(args, "listen") ? args_value(args, "listen") : settings.listen;
	ssh_port = args_value(args, "ssh-port") ? args_value(args, "ssh-port") : settings.ssh_port;
	if (ssh_port) {
		r = door_options_make(ssh_port, settings.account, &door, fault);
		if (r < 0) {
			return r;
		}
		o.door = &door;
	}
	return args_has(args, "detach") ? detach(&o, as_json, fault)
					: foreground(&o, as_json, fault);
}

static const struct option_def options[] = {
	{ "state", 's', "DIR",
	  "the state folder (default: /var/lib/dvm, or ~/.local/state/dvm for ordinary users)" },
	{ "detach", 'd', NULL, "return when all is ready; dvm down ends it" },
	{ "listen", 'l', "ADDRESS:PORT",
	  "where the gate listens (default: 127.0.0.1 and a port that is kept)" },
	{ "ssh-port", 0, "PORT",
	  "let users in with plain ssh too, on this port of the same address; 0: any, which is "
	  "kept "
	  "(default: no)" },
	{ "uri", 'u', "URI",
	  "libvirt's, or \"fake:\" for a hypervisor that only pretends (default: qemu:///system, "
	  "or "
	  "qemu:///session for ordinary users)" },
	{ "json", 0, NULL, "print the environment as JSON instead of shell lines" },
	OPTION_END,
};

const struct command cmd_up = {
	.name = "up",
	.words = "",
	.summary = "start dvm on this machine and print what to set in the environment",
	.text = "Starts dvmd, dvm-hostd and dvm-gate and keeps them running; a libvirt daemon too "
		"where none answers. "
		"Makes a first token. With --ssh-port an SSH door too (dvm-door(8)), which needs "
		"OpenSSH's sshd and, as root, "
		"an account for its users: useradd --system --home-dir / --shell /bin/sh "
		"--password '*' "
		"dvm\n\n"
		"eval \"$(dvm up --detach)\" sets DVM_URL, DVM_TOKEN, DVM_PIN, LIBVIRT_DEFAULT_URI "
		"and DVM_STATE, with the SSH door "
		"DVM_SSH and DVM_SSH_HOST_KEY. On a "
		"state folder that is up already it prints the same again. Stopped in the "
		"foreground (^C), sessions stay; "
		"dvm down ends them too.",
	.options = options,
	.run = run,
};
