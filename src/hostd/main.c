/* SPDX-License-Identifier: Apache-2.0 */
/* dvm-hostd: the command line, start and end. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "cleanup.h"
#include "hostd.h"
#include "log.h"
#include "parse.h"
#include "program.h"
#include "unix.h"

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *user)
{
	hostd_stop(user);
	return 0;
}

static int configure(struct hostd *h)
{
	_cleanup_free_ char *path = strf("%s/dvm.ini", h->state);
	struct fault fault = { 0 };
	int r;

	if (!path) {
		return -ENOMEM;
	}
	r = hostd_config_load(path, &h->config, &fault);
	if (r < 0) {
		log_err("%s: %s%s%s", path, fault.message, fault.hint[0] ? ". " : "", fault.hint);
	}
	return r;
}

static int run(struct hostd *h, const char *uri)
{
	_cleanup_free_ char *lock = strf("%s/run/dvm-hostd.lock", h->state);
	_cleanup_close_ int lock_fd = -1;
	sigset_t signals;
	int r;

	if (!lock) {
		return -ENOMEM;
	}
	r = hostd_make_folders(h);
	if (r == 0) {
		r = pid_lock(lock, &lock_fd);
	}
	if (r < 0) {
		log_err("%s: %s", h->state,
			r == -EEXIST ? "in use by another dvm-hostd" : strerror(-r));
		return r;
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	r = sd_event_new(&h->event);
	if (r < 0) {
		return r;
	}
	sd_event_add_signal(h->event, NULL, SIGTERM, on_signal, h);
	sd_event_add_signal(h->event, NULL, SIGINT, on_signal, h);
	r = hostd_open(h, uri);
	if (r == 0) {
		sd_notify(0, "READY=1");
		r = sd_event_loop(h->event);
	}
	hostd_close(h);
	sd_event_unref(h->event);
	return r;
}

static void usage(FILE *out)
{
	fputs("usage: dvm-hostd --state DIR --uri qemu:///system|qemu:///session|fake:SOCKET\n",
	      out);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "state", required_argument, NULL, 's' },
		{ "uri", required_argument, NULL, 'u' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	_cleanup_free_ char *relay = NULL, *plugin = NULL, *state = NULL;
	const char *uri = NULL;
	struct hostd h = { .root = geteuid() == 0 };
	int c, r;

	log_open("dvm-hostd");
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			free(state);
			state = realpath(optarg, NULL);
			state = state ? state : strdup(optarg);
			break;
		case 'u':
			uri = optarg;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (!state || state[0] != '/' || !uri || optind != argc) {
		usage(stderr);
		return 2;
	}
	h.state = state;
	r = program_find("dvm-relay", &relay);
	if (r < 0) {
		log_err("dvm-relay is not installed; set DVM_LIBEXEC to the folder where it is");
		return 1;
	}
	h.relay = relay;
	/* Without it no memory can be attached, which is said then. */
	r = program_find("dvm-memory.so", &plugin);
	if (r < 0) {
		log_warn("dvm-memory.so is not installed: live memory cannot be attached");
	}
	h.memory_plugin = plugin;
	if (configure(&h) < 0) {
		return 1;
	}
	return run(&h, uri) < 0 ? 1 : 0;
}
