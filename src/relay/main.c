/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dvm-relay: moves, fans out, records and filters the bytes of one console or one session
 * (PROTOCOL.relay).
 *
 * It is started with two fds by dvm-hostd, locks itself in (sandbox.h), and gets every other fd
 * over the first.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

#include "cleanup.h"
#include "control.h"
#include "log.h"
#include "parse.h"
#include "recorder.h"
#include "sandbox.h"

struct arguments {
	const char *name;
	int control_fd, pid_fd;
	uid_t uid;
	gid_t gid;
};

static void usage(FILE *to)
{
	fputs("usage: dvm-relay --name NAME --control FD --run-as UID[:GID] --pid-file FD\n"
	      "Started by dvm-hostd, as interfaces/PROTOCOL.relay says.\n",
	      to);
}

static int parse_fd(const char *s, int *ret)
{
	uint32_t n;

	if (parse_u32(s, &n) < 0 || n > INT32_MAX || fcntl((int)n, F_GETFD) < 0) {
		return -EINVAL;
	}
	*ret = (int)n;
	return 0;
}

static int parse_run_as(char *s, uid_t *ret_uid, gid_t *ret_gid)
{
	char *colon = strchr(s, ':');
	uint32_t uid, gid;

	if (colon) {
		*colon++ = '\0';
	}
	if (parse_u32(s, &uid) < 0 || parse_u32(colon ? colon : s, &gid) < 0) {
		return -EINVAL;
	}
	*ret_uid = uid;
	*ret_gid = gid;
	return 0;
}

static int arguments_parse(int argc, char **argv, struct arguments *ret)
{
	static const struct option options[] = {
		{ "name", required_argument, NULL, 'n' },
		{ "control", required_argument, NULL, 'c' },
		{ "run-as", required_argument, NULL, 'r' },
		{ "pid-file", required_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct arguments a = { .control_fd = -1, .pid_fd = -1, .uid = getuid(), .gid = getgid() };
	int option, err = 0;

	while (err == 0 && (option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (option) {
		case 'n':
			a.name = optarg;
			break;
		case 'c':
			err = parse_fd(optarg, &a.control_fd);
			break;
		case 'r':
			err = parse_run_as(optarg, &a.uid, &a.gid);
			break;
		case 'p':
			err = parse_fd(optarg, &a.pid_fd);
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			err = -EINVAL;
		}
	}
	if (err < 0 || optind != argc || !a.name || !name_valid(a.name) ||
	    strlen(a.name) > RELAY_NAME_MAX || a.control_fd < 0 || a.pid_fd < 0) {
		return -EINVAL;
	}
	*ret = a;
	return 0;
}

/* Holds the lock on the pid file as long as we live; -EAGAIN or -EACCES when another relay of this
 * name does. */
static int pid_file_lock(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char text[16];
	int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETLK, &lock) < 0 ||
	    ftruncate(fd, 0) < 0) {
		return -errno;
	}
	return pwrite(fd, text, (size_t)n, 0) == n ? 0 : -EIO;
}

/*
 * For the scrollback's file; and so that libsystemd knows it: its loop spreads wake-ups by it, and
 * asks for it when it first waits for a timer, behind the walls.
 */
static int boot_id_get(uint8_t id[RING_BOOT_ID_BYTES])
{
	sd_id128_t boot;
	int err = sd_id128_get_boot(&boot);

	if (err < 0) {
		return err;
	}
	static_assert(sizeof(boot.bytes) == RING_BOOT_ID_BYTES, "a boot id is 128 bits");
	memcpy(id, boot.bytes, sizeof(boot.bytes));
	return 0;
}

static int lock_in(const struct arguments *a)
{
	const struct sandbox_options options = {
		.uid = a->uid,
		.gid = a->gid,
		.files_max = RELAY_FILES_MAX,
		.file_bytes_max =
			MAX(RECORDER_BYTES_MAX, (uint64_t)RING_SIZE_MAX + RING_HEADER_BYTES),
	};
	unsigned missing;
	int err = sandbox_enter(&options, &missing);

	if (err < 0) {
		log_err("cannot lock myself in: %s", strerror(-err));
		return err;
	}
	if (missing) {
		log_warn("this kernel does not give%s%s%s; going on behind the other walls",
			 missing & SANDBOX_NAMESPACES ? " own namespaces" : "",
			 missing & SANDBOX_ROOT ? " an empty root" : "",
			 missing & SANDBOX_LANDLOCK ? " landlock" : "");
	}
	return 0;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *user)
{
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

static int signals_set(sd_event *event)
{
	sigset_t mask;
	int err;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || signal(SIGXFSZ, SIG_IGN) == SIG_ERR ||
	    signal(SIGHUP, SIG_IGN) == SIG_ERR || signal(SIGINT, SIG_IGN) == SIG_ERR ||
	    sigprocmask(SIG_BLOCK, &mask, NULL) < 0) {
		return -errno;
	}
	err = sd_event_add_signal(event, NULL, SIGTERM, on_signal, NULL);
	return err < 0 ? err : 0;
}

static int run(const struct arguments *a)
{
	uid_t control_uid = getuid();
	struct relay relay;
	sd_event *event = NULL;
	int err = sd_event_new(&event);

	if (err < 0) {
		return err;
	}
	err = relay_init(&relay, event, a->name);
	if (err == 0) {
		err = signals_set(event);
	}
	if (err == 0) {
		err = boot_id_get(relay.boot_id);
	}
	if (err == 0) {
		err = lock_in(a);
	}
	if (err == 0) {
		err = control_new_take(&relay, a->control_fd, control_uid, &relay.control);
	}
	if (err == 0) {
		err = sd_event_loop(event);
		relay_fini(&relay);
	}
	sd_event_unref(event);
	return err;
}

int main(int argc, char **argv)
{
	struct arguments a;
	int err;

	log_open("dvm-relay");
	if (arguments_parse(argc, argv, &a) < 0) {
		usage(stderr);
		return 2;
	}
	if (geteuid() == 0 && a.uid == 0) {
		log_err("root must name another user with --run-as");
		return 2;
	}
	/* A list of failpoints in a file cannot be read behind the walls. */
	unsetenv("DVM_FAILPOINT_FILE");
	(void)setsid(); /* what ends dvm-hostd's session is not for us; fails only where it is not
			   needed */
	err = pid_file_lock(a.pid_fd);
	if (err < 0) {
		log_err("another relay of this name lives, or its file cannot be used: %s",
			strerror(-err));
		return 1;
	}
	json_object_seed(0); /* jansson takes it from a file, else with its first object */
	err = run(&a);
	if (err < 0) {
		log_err("ended: %s", strerror(-err));
		return 1;
	}
	return 0;
}
