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
#include "cleanup.h"
#include "file.h"
#include "log.h"

#define CONNECTIONS_MAX 64
#define WINDOW_BYTES (256 * 1024)
#define CHUNK_BYTES 32768
#define FAILURES_MAX 5
#define AGAIN_AFTER (300 * USEC_PER_MSEC)
/* Not while the login that took the last one is still going on. */
#define SPARE_AFTER (2 * USEC_PER_SEC)
#define SPARE_AGE_MAX (120 * USEC_PER_SEC)

struct connection {
	struct list list;
	struct ssh *ssh;
	struct chan chan;
	struct source source; /* server */
	struct buf in;	      /* from the relay, to server */
	bool in_eof;	      /* the relay sends no more */
	bool dead;
};

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

static void connection_end(struct connection *c, const char *reason)
{
	chan_close(&c->chan, reason);
	source_close(&c->source);
	c->dead = true;
}

/* Gives the relay credit for what the server has taken. */
static void connection_credit(struct connection *c)
{
	uint64_t taken = tunnel_link_rx_offset(c->chan.link, c->chan.number) - buf_len(&c->in);

	if (taken + WINDOW_BYTES >=
		    tunnel_link_rx_limit(c->chan.link, c->chan.number) + WINDOW_BYTES / 4 &&
	    tunnel_link_credit(c->chan.link, c->chan.number, taken + WINDOW_BYTES) < 0) {
		connection_end(c, "internal");
	}
}

static void connection_write(struct connection *c)
{
	while (buf_len(&c->in) > 0) {
		ssize_t n = send(c->source.fd, buf_data(&c->in), buf_len(&c->in), MSG_NOSIGNAL);

		if (n < 0) {
			if (errno != EAGAIN && errno != EINTR) {
				buf_clear(&c->in);
			}
			break;
		}
		buf_consume(&c->in, n);
	}
	if (c->in_eof && buf_len(&c->in) == 0) {
		shutdown(c->source.fd, SHUT_WR);
	}
	connection_credit(c);
}

static void connection_read(struct connection *c)
{
	static uint8_t bytes[CHUNK_BYTES];
	size_t room = tunnel_link_room(c->chan.link, c->chan.number);
	ssize_t n;

	if (room == 0) {
		return;
	}
	n = recv(c->source.fd, bytes, MIN(room, sizeof(bytes)), 0);
	if (n > 0) {
		if (tunnel_link_send(c->chan.link, c->chan.number, bytes, n) != n) {
			connection_end(c, "internal");
		}
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		if (tunnel_link_eof(c->chan.link, c->chan.number) < 0) {
			log_debug("ssh: end of stream not sent");
		}
		connection_end(c, "");
	}
}

static void connection_ready(struct source *s, uint32_t events)
{
	struct connection *c = container_of(s, struct connection, source);

	if (events & EPOLLOUT) {
		connection_write(c);
	}
	if (!c->dead && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		connection_read(c);
	}
}

static void on_data(struct chan *chan, const uint8_t *p, size_t len)
{
	struct connection *c = container_of(chan, struct connection, chan);

	/* within the window by the link's own check */
	if (buf_append(&c->in, p, len) < 0) {
		connection_end(c, "internal");
		return;
	}
	connection_write(c);
}

static void on_writable(struct chan *chan)
{
	/* ssh_prepare() watches the server again */
}

static void on_eof(struct chan *chan)
{
	struct connection *c = container_of(chan, struct connection, chan);

	c->in_eof = true;
	connection_write(c);
}

static void on_closed(struct chan *chan, const char *reason)
{
	connection_end(container_of(chan, struct connection, chan), "");
}

static const struct chan_ops connection_ops = {
	.opened = chan_ignore_opened,
	.data = on_data,
	.gap = chan_ignore_gap,
	.writable = on_writable,
	.eof = on_eof,
	.ctl = chan_ignore_ctl,
	.closed = on_closed,
};

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
	struct connection *c;
	int fd, r;

	if (s->n_connections >= CONNECTIONS_MAX) {
		return tunnel_link_refuse(l, channel, "quota");
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		return -ENOMEM;
	}
	fd = take_server(s);
	if (fd < 0) {
		log_err("SSH server: %s", strerror(-fd));
		free(c);
		return tunnel_link_refuse(l, channel, "internal");
	}
	r = tunnel_link_accept(l, channel, 0, WINDOW_BYTES, TUNNEL_MODE_READ | TUNNEL_MODE_WRITE);
	if (r < 0) {
		close(fd);
		free(c);
		return r;
	}
	c->ssh = s;
	buf_init(&c->in, WINDOW_BYTES);
	source_init_take(&c->source, &s->agent->loop, fd, connection_ready);
	chan_bind(&c->chan, &connection_ops, l, channel);
	list_add_tail(&s->connections, &c->list);
	s->n_connections++;
	return 0;
}

static void connection_free(struct connection *c)
{
	chan_close(&c->chan, "");
	source_close(&c->source);
	buf_fini(&c->in);
	list_del(&c->list);
	c->ssh->n_connections--;
	free(c);
}

void ssh_prepare(struct ssh *s)
{
	struct connection *c, *tmp;

	list_for_each_safe (c, tmp, &s->connections, list) {
		uint32_t events;

		if (c->dead) {
			connection_free(c);
			continue;
		}
		events = buf_len(&c->in) > 0 ? EPOLLOUT : 0;
		if (tunnel_link_room(c->chan.link, c->chan.number) > 0) {
			events |= EPOLLIN;
		}
		source_watch(&c->source, events);
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
	struct connection *c, *tmp;

	list_for_each_safe (c, tmp, &s->connections, list) {
		connection_free(c);
	}
	timer_cancel(&s->again);
	source_close(&s->spare);
}
