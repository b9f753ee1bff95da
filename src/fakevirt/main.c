/* SPDX-License-Identifier: Apache-2.0 */
/* dvm-fakevirt: the command line, start and end. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "cleanup.h"
#include "fakevirt.h"
#include "file.h"
#include "log.h"
#include "parse.h"
#include "program.h"
#include "unix.h"

#define SOCKET_SUFFIX ".sock"

static int run(struct fakevirt *f, const char *socket, const char *script)
{
	sigset_t signals;
	int r;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	r = sd_event_new(&f->event);
	if (r >= 0) {
		r = sd_event_add_signal(f->event, NULL, SIGTERM, NULL, NULL);
	}
	if (r >= 0) {
		r = sd_event_add_signal(f->event, NULL, SIGINT, NULL, NULL);
	}
	if (r >= 0) {
		r = fake_server_open(f, socket);
	}
	if (r >= 0 && script) {
		r = fake_script_file(f, script);
	}
	if (r >= 0) {
		sd_notify(0, "READY=1");
		r = sd_event_loop(f->event);
	}
	return r;
}

static void end(struct fakevirt *f, const char *socket)
{
	struct fake_domain *d, *next;

	fake_server_close(f);
	list_for_each_safe (d, next, &f->domains, link) {
		fake_domain_free(d);
	}
	fake_rules_free(f);
	sd_event_unref(f->event);
	unlink(socket);
	if (dir_remove(f->folder) < 0) {
		log_warn("%s is left behind", f->folder);
	}
}

static int begin(struct fakevirt *f, const char *socket, const char *script)
{
	size_t stem = strlen(socket) - strlen(SOCKET_SUFFIX);
	_cleanup_free_ char *lock = strf("%.*s.lock", (int)stem, socket);
	_cleanup_free_ char *folder = strf("%.*s.d", (int)stem, socket);
	_cleanup_close_ int lock_fd = -1;
	int r;

	if (!lock || !folder) {
		return -ENOMEM;
	}
	r = pid_lock(lock, &lock_fd);
	if (r == 0) {
		r = dir_make(folder, 0711);
	}
	if (r < 0) {
		log_err("%s: %s", lock, strerror(-r));
		return r;
	}
	f->folder = folder;
	r = run(f, socket, script);
	end(f, socket);
	unlink(lock);
	return r;
}

static void usage(FILE *out)
{
	fputs("usage: dvm-fakevirt --socket PATH.sock [--agent PROGRAM] [--script FILE]\n"
	      "  --agent   the agent of D-VMs (default: the image's)\n"
	      "  --script  JSON list of {\"method\", \"params\"} to begin with (default: "
	      "$DVM_FAKE_SCRIPT)\n",
	      out);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "agent", required_argument, NULL, 'a' },
		{ "script", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *socket = NULL, *agent = NULL, *script = getenv("DVM_FAKE_SCRIPT");
	_cleanup_free_ char *installed = NULL;
	struct fakevirt f = { .listen_fd = -1 };
	int c, r;

	log_open("dvm-fakevirt");
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			socket = optarg;
			break;
		case 'a':
			agent = optarg;
			break;
		case 'c':
			script = optarg;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (!socket || optind != argc || strlen(socket) <= strlen(SOCKET_SUFFIX) ||
	    strcmp(socket + strlen(socket) - strlen(SOCKET_SUFFIX), SOCKET_SUFFIX) != 0) {
		usage(stderr);
		return 2;
	}
	if (!agent && program_find("image/agent", &installed) < 0) {
		log_err("the agent is not installed; name it with --agent");
		return 1;
	}
	f.agent = agent ? strdup(agent) : TAKE_PTR(installed);
	f.ssh_exec = strdup("cat");
	list_init(&f.domains);
	list_init(&f.clients);
	list_init(&f.rules);
	list_init(&f.delayed);
	r = f.agent && f.ssh_exec ? begin(&f, socket, script) : -ENOMEM;
	free(f.agent);
	free(f.ssh_exec);
	return r < 0 ? 1 : 0;
}
