/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream socket.
 *
 * Theory of operation: a connection is a stranger until its first line names a ticket; then it
 * becomes a user's connection, a raw one in front of a user's connection, or a pipe's user. A
 * stranger that says nothing is gone after 5 s, or when as many have come after it as there may be:
 * whoever has a ticket shows it at once. While there are as many users as there may be nobody is
 * let in.
 */
/* #syscalls: accept4 recvfrom read write socketpair close epoll_ctl fcntl */
#include "streams.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "file.h"
#include "log.h"
#include "pipes.h"
#include "raw_conn.h"
#include "unix.h"
#include "user_conn.h"

#define FIRST_LINE_MAX 64
#define RAW_FILES 3 /* the connection, and a socket pair behind it */
#define FIRST_LINE_USEC (5 * USEC_PER_SEC)

struct streams {
	struct relay *relay;
	int fd;
	sd_event_source *io;
	struct list strangers, users;
	size_t n_strangers, n_users;
	size_t n_files; /* of users */
};

struct stranger {
	struct list of_streams;
	struct streams *streams;
	int fd;
	sd_event_source *io, *timer;
};

struct user {
	struct list of_streams;
	struct streams *streams;
	struct user_conn *conn;
	struct raw_conn *raw; /* NULL for one that speaks frames */
	size_t n_files;
};

static void streams_watch(struct streams *s)
{
	bool full = s->n_users >= STREAMS_USERS_MAX || s->n_files >= s->relay->files_max / 2;

	if (sd_event_source_set_enabled(s->io, full ? SD_EVENT_OFF : SD_EVENT_ON) < 0) {
		log_warn("cannot wait for streams, ignoring");
	}
}

static void stranger_free(struct stranger *st)
{
	list_del(&st->of_streams);
	st->streams->n_strangers--;
	sd_event_source_disable_unref(st->io);
	sd_event_source_disable_unref(st->timer);
	close_fd(st->fd);
	free(st);
}

static void user_free(struct user *u)
{
	list_del(&u->of_streams);
	u->streams->n_users--;
	u->streams->n_files -= u->n_files;
	raw_conn_free(u->raw);
	user_conn_free(u->conn);
	free(u);
}

static void on_user_ended(void *user)
{
	struct user *u = user;
	struct streams *s = u->streams;

	/* A raw connection still has bytes for its program: it ends by itself when the tunnel
	 * behind it has. */
	if (u->raw) {
		u->conn = user_conn_free(u->conn);
		return;
	}
	user_free(u);
	streams_watch(s);
}

static void on_raw_ended(void *user)
{
	struct user *u = user;
	struct streams *s = u->streams;

	user_free(u);
	streams_watch(s);
}

static int user_start(struct user *u, int fd, const struct grant *grant)
{
	_cleanup_close_ int owned = fd;
	struct relay *relay = u->streams->relay;
	int pair[2], err;

	if (!grant->raw) {
		return user_conn_new_take(relay, TAKE_FD(owned), grant, on_user_ended, u, &u->conn);
	}
	err = unix_pair(pair);
	if (err < 0) {
		return err;
	}
	err = raw_conn_new_take(relay, TAKE_FD(owned), pair[0], grant->service, grant->mode,
				on_raw_ended, u, &u->raw);
	if (err < 0) {
		close_fd(pair[1]);
		return err;
	}
	return user_conn_new_take(relay, pair[1], grant, on_user_ended, u, &u->conn);
}

static int user_new_take(struct streams *s, int fd, const struct grant *grant)
{
	struct user *u = calloc(1, sizeof(*u));
	int err;

	if (!u) {
		close_fd(fd);
		return -ENOMEM;
	}
	u->streams = s;
	list_add_tail(&s->users, &u->of_streams);
	s->n_users++;
	u->n_files = grant->raw ? RAW_FILES : 1;
	s->n_files += u->n_files;
	err = user_start(u, fd, grant);
	if (err < 0) {
		user_free(u);
	}
	return err;
}

/* "DVM1 TICKET" without its end. */
static bool line_redeem(struct streams *s, const char *line, struct grant *ret)
{
	return strncmp(line, "DVM1 ", 5) == 0 && strlen(line) == 5 + SECRET_LEN &&
	       grants_redeem(&s->relay->grants, line + 5, clock_monotonic(), ret);
}

/* A fresh socket's buffer takes a line whole. */
static bool answer(int fd, const char *line)
{
	size_t len = strlen(line);

	return write(fd, line, len) == (ssize_t)len;
}

static void answer_no(int fd, enum fault_code code)
{
	char line[FIRST_LINE_MAX];

	snprintf(line, sizeof(line), "NO %s\n", fault_code_name(code));
	(void)answer(fd, line);
}

/* The name behind "pipe/", NULL for any other service. */
static const char *pipe_name(const struct grant *grant)
{
	return strncmp(grant->service, "pipe/", 5) == 0 ? grant->service + 5 : NULL;
}

/* What stands in the way of the stream that the ticket is for, before anything is promised. */
static enum fault_code grant_check(const struct streams *s, const struct grant *grant)
{
	const char *name = pipe_name(grant);

	if (!name) {
		return FAULT_NONE;
	}
	if (!grant->raw) {
		return FAULT_NOT_SUPPORTED;
	}
	return pipe_waits(s->relay, name) ? FAULT_NONE : FAULT_NOT_ATTACHED;
}

static void on_line(struct stranger *st, const char *line)
{
	struct streams *s = st->streams;
	enum fault_code code = FAULT_TICKET_INVALID;
	struct grant grant;

	if (line_redeem(s, line, &grant)) {
		code = grant_check(s, &grant);
	}
	if (code != FAULT_NONE) {
		answer_no(st->fd, code);
	} else {
		int err = 0;

		/* The fd is waited for by somebody else from here on. */
		st->io = sd_event_source_disable_unref(st->io);
		if (pipe_name(&grant)) {
			err = pipe_join_take(s->relay, pipe_name(&grant), TAKE_FD(st->fd));
		} else if (answer(st->fd, grant.raw ? "OK raw\n" : "OK frames\n")) {
			err = user_new_take(s, TAKE_FD(st->fd), &grant);
		}
		if (err < 0) {
			log_warn("stream not served (%d), ignoring", -err);
		}
	}
	stranger_free(st);
	streams_watch(s);
}

static void stranger_end(struct stranger *st)
{
	struct streams *s = st->streams;

	stranger_free(st);
	streams_watch(s);
}

static int on_stranger(sd_event_source *source, int fd, uint32_t revents, void *user)
{
	struct stranger *st = user;
	char line[FIRST_LINE_MAX + 1], *end;
	/* Only looked at: what stands behind the line is for whoever serves the stream. */
	ssize_t n = recv(fd, line, FIRST_LINE_MAX, MSG_PEEK);

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return 0;
	}
	if (n <= 0) {
		stranger_end(st);
		return 0;
	}
	end = memchr(line, '\n', (size_t)n);
	if (end) {
		ssize_t len = end - line + 1;

		if (read(fd, line, (size_t)len) == len) {
			*end = '\0';
			on_line(st, line);
			return 0;
		}
		stranger_end(st);
		return 0;
	}
	if (n == FIRST_LINE_MAX || memchr(line, '\0', (size_t)n)) {
		answer_no(fd, FAULT_TICKET_INVALID);
		stranger_end(st);
		return 0;
	}
	/* A part of a line: the next event comes with the next byte. */
	return 0;
}

static int on_first_line_timeout(sd_event_source *source, uint64_t now, void *user)
{
	stranger_end(user);
	return 0;
}

static int stranger_new_take(struct streams *s, int fd)
{
	struct stranger *st = calloc(1, sizeof(*st));
	int err;

	if (!st) {
		close_fd(fd);
		return -ENOMEM;
	}
	if (s->n_strangers >= STREAMS_STRANGERS_MAX) {
		stranger_free(container_of(s->strangers.next, struct stranger, of_streams));
	}
	st->streams = s;
	st->fd = fd;
	list_add_tail(&s->strangers, &st->of_streams);
	s->n_strangers++;
	/* Edge-triggered: bytes that are only looked at would wake us for ever. */
	err = sd_event_add_io(s->relay->event, &st->io, fd, EPOLLIN | EPOLLET, on_stranger, st);
	if (err >= 0) {
		err = sd_event_add_time_relative(s->relay->event, &st->timer, CLOCK_MONOTONIC,
						 FIRST_LINE_USEC, 0, on_first_line_timeout, st);
	}
	if (err < 0) {
		stranger_free(st);
	}
	return err;
}

static int on_listen(sd_event_source *source, int fd, uint32_t revents, void *user)
{
	struct streams *s = user;
	int conn, err = unix_accept(fd, &conn);

	if (err == 0) {
		err = stranger_new_take(s, conn);
	}
	if (err < 0 && err != -EAGAIN) {
		log_warn("stream not accepted (%d), ignoring", -err);
	}
	streams_watch(s);
	return 0;
}

int streams_listen_take(struct streams *s, int fd)
{
	_cleanup_close_ int owned = fd;
	sd_event_source *io;
	int err = fd_set_nonblock(fd);

	if (err == 0) {
		err = sd_event_add_io(s->relay->event, &io, fd, EPOLLIN, on_listen, s);
	}
	if (err < 0) {
		return err;
	}
	sd_event_source_disable_unref(s->io);
	close_fd(s->fd);
	s->io = io;
	s->fd = TAKE_FD(owned);
	streams_watch(s);
	return 0;
}

int streams_new_take(struct relay *relay, int fd, struct streams **ret)
{
	struct streams *s = calloc(1, sizeof(*s));
	int err;

	if (!s) {
		close_fd(fd);
		return -ENOMEM;
	}
	s->relay = relay;
	s->fd = -1;
	list_init(&s->strangers);
	list_init(&s->users);
	err = streams_listen_take(s, fd);
	if (err < 0) {
		streams_free(s);
		return err;
	}
	*ret = s;
	return 0;
}

struct streams *streams_free(struct streams *s)
{
	if (!s) {
		return NULL;
	}
	while (!list_empty(&s->strangers)) {
		stranger_free(container_of(s->strangers.next, struct stranger, of_streams));
	}
	while (!list_empty(&s->users)) {
		user_free(container_of(s->users.next, struct user, of_streams));
	}
	sd_event_source_disable_unref(s->io);
	close_fd(s->fd);
	free(s);
	return NULL;
}
