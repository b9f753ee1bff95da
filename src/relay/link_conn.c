/* SPDX-License-Identifier: Apache-2.0 */
/* A tunnel link on an fd. See link_conn.h. */
/* #syscalls: read write writev shutdown close epoll_ctl fcntl */
#include "link_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "channel.h"
#include "cleanup.h"
#include "clock.h"
#include "file.h"

#define READ_BYTES ((size_t)64 * 1024)
#define WRITES_PER_TURN 16 /* then others on the loop have their turn */
#define ANSWER_TIMEOUT_USEC USEC_PER_SEC

struct link_conn {
	int fd;
	enum link_conn_kind kind;
	enum tunnel_role role;
	size_t output_max;
	unsigned channels_max, n_channels;
	const struct link_conn_ops *ops;
	void *user;
	struct tunnel_link *link;
	struct list channels; /* struct channel */
	struct poll_item io;
	sd_event_source *deferred, *timer;
	bool blocked; /* the fd took no more */
	bool failed;
	bool undrained; /* somebody was told that there is no room */
	bool unsent;	/* somebody was told that nothing can be sent at once */
	bool no_more;	/* nothing is to come behind what waits */
	bool shut;	/* the other end was told so */
};

static void conn_watch(struct link_conn *c)
{
	uint32_t events = 0;

	if (buf_len(tunnel_link_output(c->link)) <= c->output_max / 2) {
		events |= EPOLLIN;
	}
	if (c->blocked) {
		events |= EPOLLOUT;
	}
	if (poll_item_watch(&c->io, events) < 0) {
		link_conn_fail(c);
	}
}

static void conn_end(struct link_conn *c)
{
	poll_item_off(&c->io);
	sd_event_source_set_enabled(c->deferred, SD_EVENT_OFF);
	c->ops->ended(c, c->user);
}

/* The other end of a port is still there, and will find the new start. */
static void port_restart(struct link_conn *c)
{
	c->failed = false;
	tunnel_link_reset(c->link);
	link_conn_kick(c);
}

/* False: the connection is over. */
static bool conn_write(struct link_conn *c)
{
	struct buf *out = tunnel_link_output(c->link);

	c->blocked = false;
	if (c->shut) {
		tunnel_link_output_sent(c->link, buf_len(out));
	}
	for (unsigned i = 0; i < WRITES_PER_TURN && buf_len(out) > 0; i++) {
		/* Not buf_write_fd(): the link must know what was sent. */
		ssize_t n = write(c->fd, buf_data(out), buf_len(out));

		if (n < 0 && errno == EAGAIN) {
			c->blocked = true;
			break;
		}
		if (n < 0 && errno != EINTR) {
			return false;
		}
		tunnel_link_output_sent(c->link, n > 0 ? (size_t)n : 0);
	}
	if (buf_len(out) > 0 && !c->blocked) {
		link_conn_kick(c);
	}
	if (buf_len(out) == 0 && c->no_more && !c->shut) {
		c->shut = true;
		(void)shutdown(c->fd, SHUT_WR);
	}
	return true;
}

static void conn_tell_drained(struct link_conn *c)
{
	struct channel *ch, *tmp;

	bool drained = c->undrained && link_conn_is_drained(c);
	bool empty = c->unsent && !c->blocked && buf_len(tunnel_link_output(c->link)) == 0;

	if (!drained && !empty) {
		return;
	}
	c->undrained = c->unsent = false;
	list_for_each_safe (ch, tmp, &c->channels, of_conn) {
		ch->ops->writable(ch);
	}
}

/* False: the connection is over. */
static bool conn_read(struct link_conn *c)
{
	uint8_t bytes[READ_BYTES];
	ssize_t n = read(c->fd, bytes, sizeof(bytes));
	int err;

	if (n < 0) {
		return errno == EAGAIN || errno == EINTR;
	}
	if (n == 0) {
		return false;
	}
	err = tunnel_link_input(c->link, bytes, (size_t)n);
	link_conn_kick(c);
	return err >= 0;
}

static void on_io(struct poll_item *item, uint32_t revents)
{
	struct link_conn *c = container_of(item, struct link_conn, io);
	bool alive = true;

	if (revents & EPOLLOUT) {
		alive = conn_write(c);
		if (alive) {
			conn_tell_drained(c);
		}
	}
	/* EPOLLHUP comes unasked: read() tells what it means, once all that was sent is read. */
	if (alive && (revents & ~(uint32_t)EPOLLOUT)) {
		alive = conn_read(c);
	}
	if (!alive) {
		conn_end(c);
		return;
	}
	conn_watch(c);
}

static int on_deferred(sd_event_source *source, void *user)
{
	struct link_conn *c = user;

	if (c->failed && c->kind == LINK_CONN_PORT) {
		port_restart(c);
	} else if (c->failed) {
		conn_end(c);
		return 0;
	}
	if (!c->blocked && !conn_write(c)) {
		conn_end(c);
		return 0;
	}
	conn_tell_drained(c);
	conn_watch(c);
	return 0;
}

/* On a port nobody may be there yet, or one who waits for a frame of our predecessor to end. */
static int on_timer(sd_event_source *source, uint64_t now, void *user)
{
	struct link_conn *c = user;

	if (!tunnel_link_is_up(c->link) && buf_len(tunnel_link_output(c->link)) == 0) {
		tunnel_link_reset(c->link);
		link_conn_kick(c);
	}
	if (sd_event_source_set_time_relative(source, ANSWER_TIMEOUT_USEC) < 0 ||
	    sd_event_source_set_enabled(source, SD_EVENT_ONESHOT) < 0) {
		link_conn_fail(c);
	}
	return 0;
}

static void on_up(struct tunnel_link *l, void *user)
{
	struct link_conn *c = user;

	c->ops->up(c, c->user);
}

static void on_open(struct tunnel_link *l, uint16_t id, const char *service, uint8_t mode,
		    uint64_t from, void *user)
{
	struct link_conn *c = user;

	if (!link_conn_has_room(c)) {
		channel_refuse(c, id, "quota");
		return;
	}
	c->ops->open(c, id, service, mode, from, c->user);
}

/* In the callbacks below a channel without a server is one that was closed by us. */

static void on_opened(struct tunnel_link *l, uint16_t id, uint64_t start, uint8_t mode, void *user)
{
	struct channel *ch = tunnel_link_get_data(l, id);

	if (ch) {
		ch->ops->opened(ch, start, mode);
	}
}

static void on_data(struct tunnel_link *l, uint16_t id, uint64_t offset, const uint8_t *p,
		    size_t len, void *user)
{
	struct channel *ch = tunnel_link_get_data(l, id);

	if (ch) {
		ch->ops->data(ch, p, len);
	}
}

static void on_screen(struct tunnel_link *l, uint16_t id, const uint8_t *p, size_t len, bool last,
		      void *user)
{
	struct channel *ch = tunnel_link_get_data(l, id);

	if (ch) {
		ch->ops->screen(ch, p, len, last);
	}
}

static void on_gap(struct tunnel_link *l, uint16_t id, uint64_t offset, uint64_t length, void *user)
{
	struct channel *ch = tunnel_link_get_data(l, id);

	if (ch) {
		ch->ops->gap(ch, length);
	}
}

static void on_writable(struct tunnel_link *l, uint16_t id, void *user)
{
	struct channel *ch = tunnel_link_get_data(l, id);

	if (ch) {
		ch->ops->writable(ch);
	}
}

static void on_eof(struct tunnel_link *l, uint16_t id, void *user)
{
	struct channel *ch = tunnel_link_get_data(l, id);

	if (ch) {
		ch->ops->eof(ch);
	}
}

static void on_ctl(struct tunnel_link *l, uint16_t id, const struct tunnel_ctl *ctl, void *user)
{
	struct channel *ch = tunnel_link_get_data(l, id);

	if (ch) {
		ch->ops->ctl(ch, ctl);
	}
}

static void on_closed(struct tunnel_link *l, uint16_t id, const char *reason, void *user)
{
	struct channel *ch = tunnel_link_get_data(l, id);

	if (ch) {
		channel_gone(ch, reason);
	}
}

static const struct tunnel_link_ops link_ops = {
	.up = on_up,
	.open = on_open,
	.opened = on_opened,
	.data = on_data,
	.screen = on_screen,
	.gap = on_gap,
	.writable = on_writable,
	.eof = on_eof,
	.ctl = on_ctl,
	.closed = on_closed,
};

static int conn_start(struct link_conn *c, sd_event *event)
{
	int err = fd_set_nonblock(c->fd);

	if (err == 0) {
		err = tunnel_link_new(c->role, &link_ops, c, c->output_max, &c->link);
	}
	if (err == 0) {
		if (c->kind == LINK_CONN_PORT) {
			tunnel_link_set_portlike(c->link);
		}
		err = poll_item_watch(&c->io, EPOLLIN);
	}
	if (err >= 0) {
		err = sd_event_add_defer(event, &c->deferred, on_deferred, c);
	}
	if (err >= 0 && c->kind == LINK_CONN_PORT && c->role == TUNNEL_DIALER) {
		err = sd_event_add_time_relative(event, &c->timer, CLOCK_MONOTONIC,
						 ANSWER_TIMEOUT_USEC, 0, on_timer, c);
	}
	return err < 0 ? err : 0;
}

int link_conn_new_take(sd_event *event, struct poll_set *poll, int fd,
		       const struct link_conn_options *options, const struct link_conn_ops *ops,
		       void *user, struct link_conn **ret)
{
	struct link_conn *c = calloc(1, sizeof(*c));
	int err;

	if (!c) {
		close_fd(fd);
		return -ENOMEM;
	}
	c->fd = fd;
	c->kind = options->kind;
	c->role = options->role;
	c->output_max = options->output_max;
	c->channels_max = options->channels_max;
	c->ops = ops;
	c->user = user;
	list_init(&c->channels);
	poll_item_init(&c->io, poll, fd, on_io);
	err = conn_start(c, event);
	if (err < 0) {
		link_conn_free(c);
		return err;
	}
	*ret = c;
	return 0;
}

struct link_conn *link_conn_free(struct link_conn *c)
{
	if (!c) {
		return NULL;
	}
	while (!list_empty(&c->channels)) {
		channel_gone(container_of(c->channels.next, struct channel, of_conn), "relay-lost");
	}
	sd_event_source_disable_unref(c->timer);
	sd_event_source_disable_unref(c->deferred);
	poll_item_off(&c->io);
	tunnel_link_free(c->link);
	close_fd(c->fd);
	free(c);
	return NULL;
}

struct tunnel_link *link_conn_link(struct link_conn *c)
{
	return c->link;
}

void link_conn_kick(struct link_conn *c)
{
	/* Fails only for sources that are no more. */
	(void)sd_event_source_set_enabled(c->deferred, SD_EVENT_ONESHOT);
}

void link_conn_fail(struct link_conn *c)
{
	c->failed = true;
	link_conn_kick(c);
}

void link_conn_no_more(struct link_conn *c)
{
	c->no_more = true;
	link_conn_kick(c);
}

bool link_conn_is_drained(struct link_conn *c)
{
	bool drained = buf_len(tunnel_link_output(c->link)) < LINK_CONN_OUTPUT_LOW;

	c->undrained |= !drained;
	return drained;
}

bool link_conn_has_room(const struct link_conn *c)
{
	return c->n_channels < c->channels_max;
}

size_t link_conn_write_now(const void *head, size_t head_len, const void *p, size_t len, void *user)
{
	const struct iovec parts[] = {
		{ .iov_base = (void *)head, .iov_len = head_len },
		{ .iov_base = (void *)p, .iov_len = len },
	};
	struct link_conn *c = user;
	ssize_t n;

	if (c->blocked) {
		return 0;
	}
	do {
		n = writev(c->fd, parts, ARRAY_SIZE(parts));
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN) {
		c->blocked = true;
	} else if (n < 0) {
		link_conn_fail(c);
	}
	return n > 0 ? (size_t)n : 0;
}

void link_conn_unsent(struct link_conn *c)
{
	c->unsent = true;
	link_conn_kick(c);
}

void link_conn_add(struct link_conn *c, struct list *of_conn)
{
	list_add_tail(&c->channels, of_conn);
	c->n_channels++;
}

void link_conn_remove(struct link_conn *c, struct list *of_conn)
{
	list_del(of_conn);
	c->n_channels--;
}
