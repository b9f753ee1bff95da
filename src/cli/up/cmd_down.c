/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dvm down: ends what dvm up started, with nothing left over.
 *
 * Theory of operation: sessions are ended through the API, so that disks go back in order. Where
 * programs were killed and only D-VMs or relays are left, dvm is brought up once more for that.
 * Then the supervisor is told to end, and what it did not take with it goes by the locks it holds.
 * Where sessions cannot be ended, all programs go nevertheless; what tells the next start of these
 * sessions stays.
 */
#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "cleanup.h"
#include "clock.h"
#include "commands.h"
#include "file.h"
#include "layout.h"
#include "leftover.h"
#include "parse.h"
#include "session.h"
#include "state.h"
#include "unix.h"
#include "view.h"

#define END_TIMEOUT (180 * USEC_PER_SEC)
/* So long a program of ours may take to be started again. */
#define API_PATIENCE (10 * USEC_PER_SEC)
#define SUPERVISOR_PATIENCE (120 * USEC_PER_SEC)

extern char **environ;

static bool supervised(const char *state)
{
	_cleanup_free_ char *lock = layout_path(state, "run/up.lock");

	return lock && pid_lock_owner(lock) > 0;
}

/* A folder of run/ that holds something. */
static bool has_entries(const char *state, const char *name)
{
	_cleanup_free_ char *path = layout_path(state, name);
	DIR *d = path ? opendir(path) : NULL;
	const struct dirent *e;
	bool found = false;

	while (d && !found && (e = readdir(d))) {
		found = e->d_name[0] != '.';
	}
	if (d) {
		closedir(d);
	}
	return found;
}

/* Starts dvm again as it was started before, to end in order what was left. */
static int bring_up(const char *state, struct fault *fault)
{
	char *argv[10] = { "dvm", "up", "--detach", "--state", (char *)state };
	posix_spawn_file_actions_t actions;
	struct layout_up up;
	int n = 5, status = 0, r;
	pid_t pid;

	r = layout_read_up(state, &up);
	if (r < 0) {
		return fault_set(fault, FAULT_INTERNAL, "cannot read how dvm was started: %s",
				 strerror(-r));
	}
	argv[n++] = "--uri";
	/* A fake hypervisor of our own has its socket below the state folder. */
	argv[n++] = up.uri;
	if (up.listen) {
		argv[n++] = "--listen";
		argv[n++] = up.listen;
	}
	if (posix_spawn_file_actions_init(&actions) != 0) {
		layout_up_fini(&up);
		return -ENOMEM;
	}
	r = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	if (r == 0) {
		r = posix_spawn(&pid, "/proc/self/exe", &actions, NULL, argv, environ);
	}
	posix_spawn_file_actions_destroy(&actions);
	layout_up_fini(&up);
	if (r != 0 || waitpid(pid, &status, 0) < 0 || status != 0) {
		fault_set(fault, FAULT_INTERNAL, "cannot bring dvm up again to end its sessions");
		fault_hint(fault, "dvm down --keep-sessions stops the programs only");
		return -EREMOTEIO;
	}
	return 0;
}

/* All sessions, whoever they belong to: this is the administrator's token. */
static int end_sessions(const char *state, struct fault *fault)
{
	_cleanup_(json_decrefp) json_t *items = NULL;
	struct cli cli;
	struct layout_up up;
	json_t *item;
	size_t i;
	int r;

	r = layout_read_up(state, &up);
	if (r < 0) {
		return fault_set(fault, FAULT_INTERNAL, "cannot read where dvm is: %s",
				 strerror(-r));
	}
	cli_init(&cli);
	r = layout_config(state, &up, &cli.config, fault);
	layout_up_fini(&up);
	cli.config_loaded = r == 0;
	if (r == 0) {
		r = cli_list(&cli, "/v1/sessions", &items, fault);
	}
	json_array_foreach(items, i, item)
	{
		_cleanup_free_ char *path = rest_path("/v1/sessions/%s", json_text(item, "id"));

		if (r == 0) {
			fprintf(stderr, "ending session %s\n", json_text(item, "id"));
			r = cli_call(&cli, "DELETE", path, NULL, NULL, fault);
		}
	}
	json_array_foreach(items, i, item)
	{
		if (r == 0) {
			r = session_wait(&cli, json_text(item, "id"), SESSION_WAIT_ENDED,
					 END_TIMEOUT, false, NULL, fault);
		}
	}
	cli_fini(&cli);
	return r;
}

static int end_sessions_patiently(const char *state, struct fault *fault)
{
	const struct timespec pause = { .tv_nsec = 200 * 1000000L };
	usec_t end = clock_monotonic() + API_PATIENCE;
	int r;

	for (;;) {
		r = end_sessions(state, fault);
		if (r != -EREMOTEIO || !fault_code_transient(fault->code) ||
		    clock_monotonic() > end) {
			return r;
		}
		nanosleep(&pause, NULL);
	}
}

/* Sockets and locks of programs that are gone. What is to be found again by the next start stays:
 * the port. */
static int sweep(const char *state, bool relays)
{
	static const char *const files[] = {
		"run/hostd.sock",    "run/api.sock",	  "run/ticket.sock",   "run/fakevirt.sock",
		"run/door.sock",     "run/dvm-door.lock", "run/dvmd.lock",     "run/dvm-hostd.lock",
		"run/dvm-gate.lock", "run/fakevirt.lock", "run/libvirtd.conf", "run/virtlogd.conf",
		"run/libvirtd.pid",  "run/virtlogd.pid",  "run/up.json",       "run/up.lock",
	};
	static const char *const dirs[] = { "run/relay", "run/dvm" };
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_free_ char *path = layout_path(state, files[i]);

		if (path && unlink(path) < 0 && errno != ENOENT) {
			r = -errno;
		}
	}
	for (size_t i = 0; relays && i < ARRAY_SIZE(dirs); i++) {
		_cleanup_free_ char *path = layout_path(state, dirs[i]);
		int q = path ? dir_remove(path) : -ENOMEM;

		r = q < 0 ? q : r;
	}
	return r;
}

static int run(struct cli *cli, const struct args *args, struct fault *fault)
{
	bool keep = args_has(args, "keep-sessions"), unended = false;
	_cleanup_free_ char *state = NULL;
	_cleanup_free_ char *lock = NULL;
	unsigned n = 0;
	int r;

	r = state_dir(args_value(args, "state"), &state, fault);
	if (r < 0) {
		return r;
	}
	lock = layout_path(state, "run/up.lock");
	if (!lock) {
		return -ENOMEM;
	}
	if (!keep) {
		bool left = has_entries(state, "run/dvm") || has_entries(state, "run/relay") ||
			    leftover_count(state, LEFTOVER_PROGRAMS) > 0;

		if (!supervised(state) && left) {
			fprintf(stderr,
				"dvm was killed; bringing it up once more to end what is left\n");
			r = bring_up(state, fault);
		}
		if (r == 0 && supervised(state)) {
			r = end_sessions_patiently(state, fault);
		}
		unended = r < 0 && has_entries(state, "run/dvm");
		if (r < 0) {
			fprintf(stderr, "sessions cannot be ended, stopping all the same: %s\n",
				fault->code != FAULT_NONE ? fault->message : strerror(-r));
		}
	}
	n += leftover_stop_owner(lock, SUPERVISOR_PATIENCE);
	n += leftover_stop(state,
			   LEFTOVER_PROGRAMS | LEFTOVER_GROUND | (keep ? 0 : LEFTOVER_RELAYS));
	r = sweep(state, !keep && !unended);
	if (r < 0) {
		return fault_set(fault, FAULT_INTERNAL, "cannot tidy up %s/run: %s", state,
				 strerror(-r));
	}
	if (unended) {
		fault_set(fault, FAULT_CONFLICT,
			  "dvm is down, but debug VMs of its sessions may be left");
		fault_hint(fault, "the next dvm up goes on with them; its logs are in %s/log",
			   state);
		return -EREMOTEIO;
	}
	fprintf(stderr, n > 0 ? "dvm is down\n" : "dvm was not up\n");
	return 0;
}

static const struct option_def options[] = {
	{ "state", 's', "DIR", "the state folder (default: as for dvm up)" },
	{ "keep-sessions", 'k', NULL, "leave sessions and their D-VMs running, for an upgrade" },
	OPTION_END,
};

const struct command cmd_down = {
	.name = "down",
	.words = "",
	.summary = "end what dvm up started",
	.text = "Ends all sessions first, so that every disk is given back; the targets go on "
		"running. Works also when the "
		"supervisor or any of its programs was killed.",
	.options = options,
	.run = run,
};
