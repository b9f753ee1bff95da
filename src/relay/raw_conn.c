/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream for a program that knows no frames.
 *
 * Theory of operation: bytes are read from the program while the channel takes them, and the
 * channel gets credit for what the program has read. A gap of known length cannot be shown to the
 * program, nor hidden from it: it ends the connection.
 *
 * A program that has gone said something before: that is still read, as the channel takes it, then
 * the tunnel is ended from our side, and we end when the other end of it has read all. But not for
 * longer than LINGER: it may be for a guest that reads nothing.
 */
/* #syscalls: read write shutdown close epoll_ctl */
#include "raw_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "channel.h"
#include "cleanup.h"
#include "file.h"

#define RAW_WINDOW ((size_t)64 * 1024)
#define RAW_OUTPUT_MAX ((size_t)512 * 1024)
#define LINGER_USEC (5 * USEC_PER_SEC)

struct raw_conn {
	int fd;
	sd_event_source *io, *finish, *linger;
	struct link_conn *conn;
	struct channel channel;
	char service[TUNNEL_SERVICE_MAX + 1];
	uint8_t mode;
	bool opened;
	struct buf out; /* for the program */
	bool in_eof;	/* the program sends no more */
	bool out_eof;	/* nothing more comes for the program */
	bool gone;	/* the program, in both directions */
	bool over;
	void (*ended)(void *user);
	void *user;
};

/* From wherever we are: the rest is done from the loop. */
static void finish(struct raw_conn *r)
{
	r->over = true;
	(void)sd_event_source_set_enabled(r->io, SD_EVENT_OFF);
	(void)sd_event_source_set_enabled(r->finish, SD_EVENT_ONESHOT);
}

static int on_finish(sd_event_source *source, void *user)
{
	struct raw_conn *r = user;

	if (r->over) {
		r->ended(r->user);
	}
	return 0;
}

/* The one place that says what to wait for. */
static void watch(struct raw_conn *r)
{
	uint32_t events = 0;

	if (r->over || r->gone) {
		return;
	}
	if (r->opened && r->channel.conn && !r->in_eof && channel_room(&r->channel) > 0) {
		events |= EPOLLIN;
	}
	if (buf_len(&r->out) > 0) {
		events |= EPOLLOUT;
	}
	if (sd_event_source_set_io_events(r->io, events) < 0) {
		finish(r);
	}
}

static void program_gone(struct raw_conn *r);

static void out_write(struct raw_conn *r)
{
	while (buf_len(&r->out) > 0) {
		ssize_t n = buf_write_fd(&r->out, r->fd);

		if (n == -EINTR) {
			continue;
		}
		if (n == -EAGAIN) {
			break;
		}
		if (n < 0) {
			program_gone(r);
			return;
		}
	}
	buf_give_back(&r->out);
	if (r->channel.conn) {
		channel_window(&r->channel, RAW_WINDOW - buf_len(&r->out));
	}
	if (buf_len(&r->out) == 0 && r->out_eof) {
		(void)shutdown(r->fd, SHUT_WR);
	}
	if (buf_len(&r->out) == 0 && r->opened && !r->channel.conn) {
		finish(r);
	}
}

/* True when there may be more. */
static bool in_read(struct raw_conn *r)
{
	uint8_t bytes[RAW_WINDOW];
	size_t room = r->opened && r->channel.conn ? channel_room(&r->channel) : 0;
	ssize_t n;

	if (room == 0 || r->in_eof) {
		return false;
	}
	n = read(r->fd, bytes, MIN(room, sizeof(bytes)));
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return false;
	}
	if (n < 0 && !r->gone) {
		finish(r);
		return false;
	}
	if (n <= 0) {
		r->in_eof = true;
		channel_eof(&r->channel);
		return false;
	}
	(void)channel_send(&r->channel, bytes, (size_t)n);
	return true;
}

/* What the program said before it went, as far as it goes now. */
static void in_read_rest(struct raw_conn *r)
{
	if (r->opened && !(r->mode & TUNNEL_MODE_WRITE)) {
		finish(r); /* nobody takes it */
		return;
	}
	while (in_read(r)) {
	}
	if (r->in_eof && r->conn) {
		link_conn_no_more(r->conn);
	}
}

static int on_linger(sd_event_source *source, uint64_t now, void *user)
{
	finish(user);
	return 0;
}

static void program_gone(struct raw_conn *r)
{
	if (r->gone || r->over) {
		return;
	}
	r->gone = true;
	buf_clear(&r->out);
	/* It would wake us for ever. */
	(void)sd_event_source_set_enabled(r->io, SD_EVENT_OFF);
	if (!r->conn ||
	    sd_event_add_time_relative(sd_event_source_get_event(r->io), &r->linger,
				       CLOCK_MONOTONIC, LINGER_USEC, 0, on_linger, r) < 0) {
		finish(r);
		return;
	}
	in_read_rest(r);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *user)
{
	struct raw_conn *r = user;

	if (revents & EPOLLIN) {
		(void)in_read(r);
	}
	if (revents & EPOLLOUT) {
		out_write(r);
	}
	if ((revents & (EPOLLHUP | EPOLLERR)) && !(revents & EPOLLIN)) {
		program_gone(r);
	}
	watch(r);
	return 0;
}

static void on_opened(struct channel *c, uint64_t start, uint8_t mode)
{
	struct raw_conn *r = container_of(c, struct raw_conn, channel);

	r->opened = true;
	r->mode = mode;
	if (r->gone) {
		in_read_rest(r);
	}
	watch(r);
}

static void on_data(struct channel *c, const uint8_t *p, size_t len)
{
	struct raw_conn *r = container_of(c, struct raw_conn, channel);

	if (r->gone) {
		return;
	}
	if (buf_append(&r->out, p, len) < 0) {
		finish(r);
		return;
	}
	out_write(r);
	watch(r);
}

static void on_gap(struct channel *c, uint64_t length)
{
	struct raw_conn *r = container_of(c, struct raw_conn, channel);

	if (length > 0) {
		finish(r);
	}
}

static void on_writable(struct channel *c)
{
	struct raw_conn *r = container_of(c, struct raw_conn, channel);

	if (r->gone) {
		in_read_rest(r);
	}
	watch(r);
}

static void on_eof(struct channel *c)
{
	struct raw_conn *r = container_of(c, struct raw_conn, channel);

	r->out_eof = true;
	out_write(r);
	watch(r);
}

static void on_closed(struct channel *c, const char *reason)
{
	struct raw_conn *r = container_of(c, struct raw_conn, channel);

	r->opened = true; /* or refused: in any case there will be no more */
	out_write(r);
	watch(r);
}

static const struct channel_ops channel_ops = {
	.opened = on_opened,
	.data = on_data,
	.screen = channel_ignore_screen,
	.gap = on_gap,
	.writable = on_writable,
	.eof = on_eof,
	.ctl = channel_ignore_ctl,
	.closed = on_closed,
};

static void on_up(struct link_conn *conn, void *user)
{
	struct raw_conn *r = user;

	if (channel_open(&r->channel, &channel_ops, conn, r->service, r->mode, TUNNEL_FROM_KEPT,
			 RAW_WINDOW) < 0) {
		finish(r);
	}
}

static void on_open(struct link_conn *conn, uint16_t id, const char *service, uint8_t mode,
		    uint64_t from, void *user)
{
	channel_refuse(conn, id, "forbidden");
}

static void on_ended(struct link_conn *conn, void *user)
{
	struct raw_conn *r = user;

	/* The channel goes with it, see on_closed(); what came before is still written. */
	r->conn = link_conn_free(conn);
	if (!r->opened) {
		finish(r);
	}
}

static const struct link_conn_ops conn_ops = {
	.up = on_up,
	.open = on_open,
	.ended = on_ended,
};

static int raw_start(struct raw_conn *r, struct relay *relay, int tunnel_fd)
{
	const struct link_conn_options options = {
		.kind = LINK_CONN_SOCKET,
		.role = TUNNEL_DIALER,
		.output_max = RAW_OUTPUT_MAX,
		.channels_max = 1,
	};
	_cleanup_close_ int owned = tunnel_fd;
	int err = fd_set_nonblock(r->fd);

	if (err == 0) {
		err = sd_event_add_defer(relay->event, &r->finish, on_finish, r);
	}
	if (err >= 0) {
		err = sd_event_add_io(relay->event, &r->io, r->fd, 0, on_io, r);
	}
	if (err >= 0) {
		err = link_conn_new_take(relay->event, relay->poll, TAKE_FD(owned), &options,
					 &conn_ops, r, &r->conn);
	}
	return err < 0 ? err : 0;
}

int raw_conn_new_take(struct relay *relay, int fd, int tunnel_fd, const char *service, uint8_t mode,
		      void (*ended)(void *user), void *user, struct raw_conn **ret)
{
	struct raw_conn *r = calloc(1, sizeof(*r));
	int err;

	if (!r) {
		close_fd(fd);
		close_fd(tunnel_fd);
		return -ENOMEM;
	}
	r->fd = fd;
	strncpy(r->service, service, TUNNEL_SERVICE_MAX);
	r->mode = mode;
	r->ended = ended;
	r->user = user;
	buf_init(&r->out, RAW_WINDOW);
	err = raw_start(r, relay, tunnel_fd);
	if (err < 0) {
		raw_conn_free(r);
		return err;
	}
	*ret = r;
	return 0;
}

struct raw_conn *raw_conn_free(struct raw_conn *r)
{
	if (!r) {
		return NULL;
	}
	link_conn_free(r->conn);
	sd_event_source_disable_unref(r->linger);
	sd_event_source_disable_unref(r->finish);
	sd_event_source_disable_unref(r->io);
	buf_fini(&r->out);
	close_fd(r->fd);
	free(r);
	return NULL;
}
