/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SSH connections.
 *
 * Every `ssh` channel is served by its own `dropbear -i` on a socket pair. A server's start (its
 * libraries, its keys) is part of a login that counts in an emulated machine, so one is always kept
 * started and waiting: the spare. Its greeting, readable on our end, is also how we know that the
 * SSH server answers from now on. A server gives its client five minutes to log in, from its own
 * start on: a spare that has waited for a while is replaced by a new one.
 */
#include "ssh.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent.h"
#include "bridge.h"
#include "cleanup.h"
#include "file.h"
#include "log.h"

#define CONNECTIONS_MAX 64
#define FAILURES_MAX 5
#define AGAIN_AFTER (300 * USEC_PER_MSEC)
/* Not while the login that took the last one is still going on. */
#define SPARE_AFTER (2 * USEC_PER_SEC)
#define SPARE_AGE_MAX (120 * USEC_PER_SEC)

extern char **environ;

/* Starts the server with one end of a socket pair as its standard input and output; returns ours.
 */
static int server_start(struct ssh *s)
{
	/* The one server of its own that the client talks to; no passwords; never times out; a
	 * window for a link that is fast but for the emulation. */
	static char *const dropbear[] = { "/usr/sbin/dropbear",
					  "-i",
					  "-s",
					  "-r",
					  "/run/dvm/host_key",
					  "-W",
					  "1048576",
					  "-K",
					  "0",
					  "-I",
					  "0",
					  NULL };
	char *const shell[] = { "/bin/sh", "-c", (char *)s->agent->options.ssh_exec, NULL };
	char *const *argv = s->agent->options.ssh_exec ? shell : dropbear;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	int pair[2], r;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		return -errno;
	}
	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, pair[1], 0);
	posix_spawn_file_actions_adddup2(&actions, pair[1], 1);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
	r = -posix_spawn(&pid, argv[0], &actions, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	close(pair[1]);
	if (r == 0) {
		r = fd_set_nonblock(pair[0]);
	}
	if (r < 0) {
		close(pair[0]);
		return r;
	}
	return pair[0];
}

static void spare_failed(struct ssh *s)
{
	source_close(&s->spare);
	s->spare_answers = false;
	s->failures++;
	log_warn("the SSH server does not start (%d. time)", s->failures);
	if (s->failures == FAILURES_MAX) {
		identity_ssh_state(&s->agent->identity, false, "the SSH server does not start");
	}
	timer_arm(&s->agent->loop, &s->again, AGAIN_AFTER * MIN(s->failures, 20));
}

/* The spare has greeted, or died. */
static void spare_ready(struct source *source, uint32_t events)
{
	struct ssh *s = container_of(source, struct ssh, spare);
	char byte;
	ssize_t n = recv(source->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		spare_failed(s);
	} else if (n > 0) {
		s->spare_answers = true;
		s->failures = 0;
		timer_arm(&s->agent->loop, &s->again, SPARE_AGE_MAX);
		identity_ssh_state(&s->agent->identity, true, NULL);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		spare_failed(s);
	}
}

static void spare_start(struct ssh *s)
{
	int fd = server_start(s);

	if (fd < 0) {
		log_err("SSH server: %s", strerror(-fd));
		spare_failed(s);
		return;
	}
	source_init_take(&s->spare, &s->agent->loop, fd, spare_ready);
	s->spare_answers = false;
	if (s->agent->options.ssh_exec) {
		/* some program that need not greet */
		s->spare_answers = true;
		identity_ssh_state(&s->agent->identity, true, NULL);
	}
}

/* After one that failed, was taken, or has grown old. */
static void spare_again(struct timer *t)
{
	struct ssh *s = container_of(t, struct ssh, again);

	source_close(&s->spare);
	spare_start(s);
}

/* The spare's fd if there is one, else a server started now. */
static int take_server(struct ssh *s)
{
	int fd;

	if (s->spare.fd < 0) {
		return server_start(s);
	}
	source_watch(&s->spare, 0);
	fd = TAKE_FD(s->spare.fd);
	timer_arm(&s->agent->loop, &s->again, s->agent->options.ssh_exec ? 0 : SPARE_AFTER);
	return fd;
}

int ssh_accept(struct ssh *s, struct tunnel_link *l, uint16_t channel)
{
	struct bridge *b;
	int fd, r;

	if (s->n_connections >= CONNECTIONS_MAX) {
		return tunnel_link_refuse(l, channel, "quota");
	}
	b = calloc(1, sizeof(*b));
	if (!b) {
		return -ENOMEM;
	}
	fd = take_server(s);
	if (fd < 0) {
		log_err("SSH server: %s", strerror(-fd));
		free(b);
		return tunnel_link_refuse(l, channel, "internal");
	}
	r = bridge_accept_take(b, &s->agent->loop, fd, l, channel);
	if (r < 0) {
		free(b);
		return r;
	}
	list_add_tail(&s->connections, &b->list);
	s->n_connections++;
	return 0;
}

static void connection_free(struct ssh *s, struct bridge *b)
{
	list_del(&b->list);
	s->n_connections--;
	bridge_fini(b);
	free(b);
}

void ssh_prepare(struct ssh *s)
{
	struct bridge *b, *tmp;

	list_for_each_safe (b, tmp, &s->connections, list) {
		if (b->dead) {
			connection_free(s, b);
		} else {
			bridge_prepare(b);
		}
	}
	/* once it has greeted there is nothing to hear from a spare but its death */
	source_watch(&s->spare, s->spare_answers ? EPOLLRDHUP : EPOLLIN);
}

int ssh_init(struct ssh *s, struct agent *a)
{
	*s = (struct ssh){ .agent = a, .spare.fd = -1 };
	list_init(&s->connections);
	timer_init(&s->again, spare_again);
	spare_start(s);
	return 0;
}

void ssh_fini(struct ssh *s)
{
	struct bridge *b, *tmp;

	list_for_each_safe (b, tmp, &s->connections, list) {
		connection_free(s, b);
	}
	timer_cancel(&s->again);
	source_close(&s->spare);
}
