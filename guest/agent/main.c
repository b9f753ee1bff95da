/* SPDX-License-Identifier: Apache-2.0 */
/* dvm-agent: the D-VM's end of the tunnel. See agent.h for how its parts hang together. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"
#include "await.h"
#include "cleanup.h"
#include "file.h"
#include "log.h"
#include "parse.h"
#include "supervise.h"

static struct agent agent;

void agent_identity_changed(struct agent *a)
{
	disks_scan(&a->disks);
	stacks_scan(&a->stacks);
	for (unsigned i = 0; i < _LOOPBACK_MAX; i++) {
		loopback_scan(&a->loopback[i]);
	}
}

static void agent_prepare(struct loop *l)
{
	struct agent *a = container_of(l, struct agent, loop);

	ssh_prepare(&a->ssh);
	local_prepare(&a->local);
	disks_prepare(&a->disks);
	for (unsigned i = 0; i < _LOOPBACK_MAX; i++) {
		loopback_prepare(&a->loopback[i]);
	}
	source_watch(&a->signals, EPOLLIN);
	/* last: the others may have put something into its output; and its writing may let them go
	 * on */
	port_prepare(&a->port);
	ssh_prepare(&a->ssh);
	for (unsigned i = 0; i < _LOOPBACK_MAX; i++) {
		loopback_prepare(&a->loopback[i]);
	}
}

static void signals_ready(struct source *s, uint32_t events)
{
	struct agent *a = container_of(s, struct agent, signals);
	struct signalfd_siginfo info;

	while (read(s->fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGCHLD) {
			loop_stop(&a->loop, 0);
			return;
		}
		while (waitpid(-1, NULL, WNOHANG) > 0) {
			/* ends are seen on the sockets */
		}
	}
}

static int signals_init(struct agent *a)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0) {
		return -errno;
	}
	source_init_take(&a->signals, &a->loop, fd, signals_ready);
	return 0;
}

static int agent_run(struct agent *a)
{
	int r;

	for (unsigned i = 0; i < _LOOPBACK_MAX; i++) {
		loopback_init(&a->loopback[i], a, (enum loopback_service)i);
	}
	r = dir_make(a->options.run_dir, 0755);
	if (r == 0) {
		r = loop_init(&a->loop, agent_prepare);
	}
	if (r == 0) {
		r = signals_init(a);
	}
	if (r == 0) {
		bool inherited = a->options.fd >= 0;

		r = port_init(&a->port, a, inherited ? a->options.fd : a->options.port, inherited);
	}
	if (r == 0) {
		r = identity_init(&a->identity, a);
	}
	if (r == 0) {
		ports_init(&a->ports, a);
		memories_init(&a->memories, a);
		stacks_init(&a->stacks, a);
		r = disks_init(&a->disks, a);
	}
	if (r == 0) {
		r = ssh_init(&a->ssh, a);
	}
	if (r == 0) {
		r = local_init(&a->local, a);
	}
	if (r == 0) {
		r = loop_run(&a->loop);
	}
	return r;
}

static void usage(FILE *to)
{
	fputs("usage: agent [--fd N | --port N] [--ssh-exec COMMAND] [--run DIR] "
	      "[--no-config-apply]\n"
	      "  --fd N              speak on the open fd N instead of the virtio port " PORT_NAME
	      "\n"
	      "  --port N            the virtio port is the open fd N\n"
	      "  --ssh-exec COMMAND  what serves a connection, instead of dropbear\n"
	      "  --run DIR           sockets and keys (default: /run/dvm)\n"
	      "  --no-config-apply   change nothing of this machine (host name, clock, devices)\n",
	      to);
}

static int open_fd(const char *option, const char *text, int *ret)
{
	uint32_t fd;

	if (parse_u32(text, &fd) < 0 || fcntl((int)fd, F_GETFD) < 0) {
		log_err("%s %s: not an open file", option, text);
		return -EINVAL;
	}
	fcntl((int)fd, F_SETFD, FD_CLOEXEC);
	*ret = (int)fd;
	return 0;
}

static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "fd", required_argument, NULL, 'f' },
		{ "port", required_argument, NULL, 'p' },
		{ "ssh-exec", required_argument, NULL, 's' },
		{ "run", required_argument, NULL, 'r' },
		{ "no-config-apply", no_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	*o = (struct options){ .fd = -1, .port = -1, .run_dir = "/run/dvm", .apply = true };
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) >= 0) {
		switch (c) {
		case 'f':
			if (open_fd("--fd", optarg, &o->fd) < 0) {
				return -EINVAL;
			}
			break;
		case 'p':
			if (open_fd("--port", optarg, &o->port) < 0) {
				return -EINVAL;
			}
			break;
		case 's':
			o->ssh_exec = optarg;
			break;
		case 'r':
			o->run_dir = optarg;
			break;
		case 'n':
			o->apply = false;
			break;
		case 'h':
			usage(stdout);
			return 1;
		default:
			usage(stderr);
			return -EINVAL;
		}
	}
	if (optind < argc) {
		usage(stderr);
		return -EINVAL;
	}
	return 0;
}

/* Returns with the port open; as a process that has just begun, if it had to wait. `name`: the
 * program's path, as init gave it. */
static int await_session(struct options *o, char *name)
{
	char number[16];
	char *argv[] = { name, (char *)"--port", number, NULL };
	bool waited = false;
	int r;

	r = await_host(&o->port, &waited);
	if (r < 0 || !waited) {
		return r;
	}
	snprintf(number, sizeof(number), "%d", o->port);
	fcntl(o->port, F_SETFD, 0);
	execv(name, argv);
	return -errno;
}

int main(int argc, char **argv)
{
	int r;

	log_open("dvm-agent");
	r = parse_options(argc, argv, &agent.options);
	if (r != 0) {
		return r > 0 ? 0 : 2;
	}
	log_info("started");
	if (agent.options.fd < 0 && agent.options.port < 0) {
		r = await_session(&agent.options, argv[0]);
		if (r < 0) {
			log_err("port " PORT_NAME ": %s", strerror(-r));
			return AGENT_EXIT_POWEROFF;
		}
	}
	r = agent_run(&agent);
	if (r < 0) {
		log_err("%s", strerror(-r));
	}
	local_fini(&agent.local);
	ssh_fini(&agent.ssh);
	disks_fini(&agent.disks);
	for (unsigned i = 0; i < _LOOPBACK_MAX; i++) {
		loopback_fini(&agent.loopback[i]);
	}
	identity_fini(&agent.identity);
	port_fini(&agent.port);
	source_close(&agent.signals);
	loop_fini(&agent.loop);
	return r < 0 ? 1 : 0;
}
