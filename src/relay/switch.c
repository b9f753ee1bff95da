/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joins two channels (PROTOCOL.tunnel §4).
 *
 * Theory of operation: frames pass with the channel's number changed; offsets are the same on both
 * sides, so credit can be passed on as it is. But never for more than SWITCH_WINDOW bytes ahead,
 * and only while the connection that they will go out on has drained: a peer that gives much credit
 * and then does not read must neither fill our memory nor stop the connection that the bytes come
 * from, on which others, and the recording, wait.
 */
#include "switch.h"

#include <errno.h>
#include <stdlib.h>

#include "channel.h"
#include "fault.h"

/* A connection's channels_max times this, and LINK_CONN_OUTPUT_LOW, fit into its output_max. */
#define SWITCH_WINDOW ((uint64_t)128 * 1024)

/* [0]: the side that opened, [1]: the side that we opened. */
struct switched {
	struct channel side[2];
	bool open;
};

static struct switched *switched_of(struct channel *c, struct channel **ret_other)
{
	/* Only the server of both sides knows which of them `c` is. */
	struct switched *s = c->ops->opened == channel_ignore_opened
				     ? container_of(c, struct switched, side[0])
				     : container_of(c, struct switched, side[1]);

	*ret_other = c == &s->side[0] ? &s->side[1] : &s->side[0];
	return s;
}

/* What may come in on `in`, given what may go out on `out`. */
static uint64_t limit_of(struct channel *out)
{
	struct tunnel_link *l = link_conn_link(out->conn);

	return MIN(tunnel_link_tx_limit(l, out->id),
		   tunnel_link_tx_offset(l, out->id) + SWITCH_WINDOW);
}

static void credit(struct channel *in, struct channel *out)
{
	if (link_conn_is_drained(out->conn)) {
		channel_credit(in, limit_of(out));
	}
}

static void on_opened(struct channel *c, uint64_t start, uint8_t mode)
{
	struct channel *opener;
	struct switched *s = switched_of(c, &opener);

	s->open = true;
	channel_accept(opener, start, limit_of(c), mode);
	credit(c, opener);
}

static void close_both(struct switched *s, const char *reason)
{
	/* Closing an open that was not answered refuses it. */
	channel_close(&s->side[0], reason);
	channel_close(&s->side[1], reason);
	free(s);
}

static void on_data(struct channel *c, const uint8_t *p, size_t len)
{
	struct channel *other;
	struct switched *s = switched_of(c, &other);

	/* All that we gave credit for fits; it is for the link to see that no more comes. */
	if (channel_send(other, p, len) != len) {
		close_both(s, fault_code_name(FAULT_INTERNAL));
		return;
	}
	credit(c, other);
}

static void on_screen(struct channel *c, const uint8_t *p, size_t len, bool last)
{
	struct channel *other;
	struct switched *s = switched_of(c, &other);

	if (channel_screen(other, p, len, last) != len) {
		close_both(s, fault_code_name(FAULT_INTERNAL));
		return;
	}
	credit(c, other);
}

static void on_gap(struct channel *c, uint64_t length)
{
	struct channel *other;

	(void)switched_of(c, &other);
	channel_gap(other, length);
	credit(c, other);
}

static void on_writable(struct channel *c)
{
	struct channel *other;
	struct switched *s = switched_of(c, &other);

	if (s->open) {
		credit(other, c);
	}
}

static void on_eof(struct channel *c)
{
	struct channel *other;

	(void)switched_of(c, &other);
	channel_eof(other);
}

static void on_ctl(struct channel *c, const struct tunnel_ctl *ctl)
{
	struct channel *other;

	(void)switched_of(c, &other);
	channel_ctl(other, ctl);
}

static void on_closed(struct channel *c, const char *reason)
{
	struct channel *other;

	close_both(switched_of(c, &other), reason);
}

static const struct channel_ops opener_ops = {
	.opened = channel_ignore_opened,
	.data = on_data,
	.screen = on_screen,
	.gap = on_gap,
	.writable = on_writable,
	.eof = on_eof,
	.ctl = on_ctl,
	.closed = on_closed,
};

static const struct channel_ops opened_ops = {
	.opened = on_opened,
	.data = on_data,
	.screen = on_screen,
	.gap = on_gap,
	.writable = on_writable,
	.eof = on_eof,
	.ctl = on_ctl,
	.closed = on_closed,
};

void switch_open(struct link_conn *from_conn, uint16_t id, struct link_conn *to_conn,
		 const char *service, uint8_t mode, uint64_t from)
{
	struct switched *s = calloc(1, sizeof(*s));
	uint64_t window;
	int err;

	if (!s) {
		channel_refuse(from_conn, id, fault_code_name(FAULT_INTERNAL));
		return;
	}
	channel_init(&s->side[0], &opener_ops, from_conn, id);
	window = MIN(tunnel_link_tx_limit(link_conn_link(from_conn), id), SWITCH_WINDOW);
	err = channel_open(&s->side[1], &opened_ops, to_conn, service, mode, from, window);
	if (err < 0) {
		close_both(s, fault_code_name(err == -ENOSPC ? FAULT_QUOTA : FAULT_RELAY_LOST));
	}
}
