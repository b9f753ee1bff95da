/* SPDX-License-Identifier: Apache-2.0 */
/* One channel of a link_conn. See channel.h. */
#include "channel.h"

#include <errno.h>

static struct tunnel_link *link_of(const struct channel *c)
{
	return link_conn_link(c->conn);
}

/* After every call that sends: whatever could not be sent ends the connection. */
static void sent(struct channel *c, int err)
{
	if (err < 0) {
		link_conn_fail(c->conn);
	} else {
		link_conn_kick(c->conn);
	}
}

void channel_init(struct channel *c, const struct channel_ops *ops, struct link_conn *conn,
		  uint16_t id)
{
	*c = (struct channel){ .ops = ops, .conn = conn, .id = id };
	list_init(&c->of_conn);
	link_conn_add(conn, &c->of_conn);
	tunnel_link_set_data(link_of(c), id, c);
}

int channel_open(struct channel *c, const struct channel_ops *ops, struct link_conn *conn,
		 const char *service, uint8_t mode, uint64_t from, uint64_t window)
{
	uint16_t id;
	int err;

	if (!link_conn_has_room(conn)) {
		return -ENOSPC;
	}
	err = tunnel_link_open(link_conn_link(conn), service, mode, from, window, &id);
	if (err < 0) {
		return err;
	}
	channel_init(c, ops, conn, id);
	link_conn_kick(conn);
	return 0;
}

void channel_accept(struct channel *c, uint64_t start, uint64_t limit, uint8_t mode)
{
	sent(c, tunnel_link_accept(link_of(c), c->id, start, limit, mode));
}

size_t channel_room(struct channel *c)
{
	return link_conn_is_drained(c->conn) ? tunnel_link_room(link_of(c), c->id) : 0;
}

size_t channel_send(struct channel *c, const void *p, size_t len)
{
	ssize_t n = tunnel_link_send(link_of(c), c->id, p, len);

	sent(c, n < 0 ? (int)n : 0);
	return n < 0 ? 0 : (size_t)n;
}

size_t channel_screen(struct channel *c, const void *p, size_t len, bool last)
{
	ssize_t n = tunnel_link_send_screen(link_of(c), c->id, p, len, last);

	sent(c, n < 0 ? (int)n : 0);
	return n < 0 ? 0 : (size_t)n;
}

size_t channel_send_now(struct channel *c, const void *p, size_t len)
{
	ssize_t n = tunnel_link_send_now(link_of(c), c->id, p, len, link_conn_write_now, c->conn);

	if (n == 0) {
		link_conn_unsent(c->conn);
	} else if (n < 0 || buf_len(tunnel_link_output(link_of(c))) > 0) {
		sent(c, n < 0 ? (int)n : 0);
	}
	return n < 0 ? 0 : (size_t)n;
}

void channel_gap(struct channel *c, uint64_t length)
{
	sent(c, tunnel_link_send_gap(link_of(c), c->id, length));
}

void channel_credit(struct channel *c, uint64_t limit)
{
	if (limit > tunnel_link_rx_limit(link_of(c), c->id)) {
		sent(c, tunnel_link_credit(link_of(c), c->id, limit));
	}
}

void channel_window(struct channel *c, uint64_t window)
{
	channel_credit(c, tunnel_link_rx_offset(link_of(c), c->id) + window);
}

void channel_eof(struct channel *c)
{
	sent(c, tunnel_link_eof(link_of(c), c->id));
}

void channel_ctl(struct channel *c, const struct tunnel_ctl *ctl)
{
	sent(c, tunnel_link_ctl(link_of(c), c->id, ctl));
}

static void detach(struct channel *c)
{
	tunnel_link_set_data(link_of(c), c->id, NULL);
	link_conn_remove(c->conn, &c->of_conn);
	c->conn = NULL;
}

void channel_close(struct channel *c, const char *reason)
{
	if (c->conn) {
		sent(c, tunnel_link_close(link_of(c), c->id, reason));
		detach(c);
	}
}

void channel_refuse(struct link_conn *conn, uint16_t id, const char *reason)
{
	if (tunnel_link_refuse(link_conn_link(conn), id, reason) < 0) {
		link_conn_fail(conn);
	}
	link_conn_kick(conn);
}

void channel_gone(struct channel *c, const char *reason)
{
	detach(c);
	c->ops->closed(c, reason);
}

void channel_ignore_opened(struct channel *c, uint64_t start, uint8_t mode)
{
}

void channel_ignore_screen(struct channel *c, const uint8_t *p, size_t len, bool last)
{
}

void channel_ignore_gap(struct channel *c, uint64_t length)
{
}

void channel_ignore_eof(struct channel *c)
{
}

void channel_ignore_ctl(struct channel *c, const struct tunnel_ctl *ctl)
{
}

void channel_ignore_writable(struct channel *c)
{
}
