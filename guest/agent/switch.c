/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Switches a local client's channel through to the relay.
 *
 * Offsets are the same on both sides, and a limit is passed on as it is, so credit works end to end
 * and next to nothing is kept here: only what the relay's link has no room for at the moment. The
 * client's window is cut to WINDOW_MAX_BYTES, which its link's output can always take (local.h).
 */
#include "switch.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"

#define WINDOW_MAX_BYTES (128 * 1024)

struct switched {
	struct chan up;	    /* to the relay */
	struct chan down;   /* to the client */
	struct buf waiting; /* from the client, until the relay's link has room */
	bool eof;	    /* after `waiting` the client sends no more */
	bool dead;
};

static void end(struct switched *s, const char *reason)
{
	chan_close(&s->up, reason);
	chan_close(&s->down, reason);
	s->dead = true;
}

/* Passes the receiver's limit on to the sender, at most a window beyond what has been sent. */
static void pass_limit(struct switched *s, struct chan *receiver, struct chan *sender)
{
	uint64_t limit =
		MIN(tunnel_link_tx_limit(receiver->link, receiver->number),
		    tunnel_link_rx_offset(sender->link, sender->number) + WINDOW_MAX_BYTES);

	if (limit > tunnel_link_rx_limit(sender->link, sender->number) &&
	    tunnel_link_credit(sender->link, sender->number, limit) < 0) {
		end(s, "internal");
	}
}

static void flush_up(struct switched *s)
{
	ssize_t n;

	while (s->up.link && buf_len(&s->waiting) > 0) {
		n = tunnel_link_send(s->up.link, s->up.number, buf_data(&s->waiting),
				     buf_len(&s->waiting));
		if (n <= 0) {
			break;
		}
		buf_consume(&s->waiting, n);
	}
	if (s->eof && s->up.link && buf_len(&s->waiting) == 0) {
		s->eof = false;
		if (tunnel_link_eof(s->up.link, s->up.number) < 0) {
			end(s, "internal");
		}
	}
}

static void up_opened(struct chan *c, uint64_t start, uint8_t mode)
{
	struct switched *s = container_of(c, struct switched, up);
	uint64_t limit = MIN(tunnel_link_tx_limit(c->link, c->number), (uint64_t)WINDOW_MAX_BYTES);

	if (tunnel_link_accept(s->down.link, s->down.number, start, limit, mode) < 0) {
		end(s, "internal");
	}
}

static void up_data(struct chan *c, const uint8_t *p, size_t len)
{
	struct switched *s = container_of(c, struct switched, up);

	if (tunnel_link_send(s->down.link, s->down.number, p, len) != (ssize_t)len) {
		/* the client gave credit and its link's output cannot take it: it is not reading at
		 * all */
		end(s, "timeout");
		return;
	}
	pass_limit(s, &s->down, &s->up);
}

static void up_screen(struct chan *c, const uint8_t *p, size_t len, bool last)
{
	struct switched *s = container_of(c, struct switched, up);

	if (tunnel_link_send_screen(s->down.link, s->down.number, p, len, last) != (ssize_t)len) {
		end(s, "timeout");
		return;
	}
	pass_limit(s, &s->down, &s->up);
}

static void up_gap(struct chan *c, uint64_t length)
{
	struct switched *s = container_of(c, struct switched, up);

	if (tunnel_link_send_gap(s->down.link, s->down.number, length) < 0) {
		end(s, "internal");
	}
}

static void up_writable(struct chan *c)
{
	struct switched *s = container_of(c, struct switched, up);

	flush_up(s);
	if (!s->dead) {
		pass_limit(s, &s->up, &s->down);
	}
}

static void up_eof(struct chan *c)
{
	struct switched *s = container_of(c, struct switched, up);

	if (tunnel_link_eof(s->down.link, s->down.number) < 0) {
		end(s, "internal");
	}
}

static void up_ctl(struct chan *c, const struct tunnel_ctl *ctl)
{
	struct switched *s = container_of(c, struct switched, up);

	if (tunnel_link_ctl(s->down.link, s->down.number, ctl) < 0) {
		end(s, "internal");
	}
}

static void up_closed(struct chan *c, const char *reason)
{
	end(container_of(c, struct switched, up), reason);
}

static void down_data(struct chan *c, const uint8_t *p, size_t len)
{
	struct switched *s = container_of(c, struct switched, down);

	if (buf_append(&s->waiting, p, len) < 0) {
		end(s, "protocol");
		return;
	}
	flush_up(s);
	if (!s->dead) {
		pass_limit(s, &s->up, &s->down);
	}
}

static void down_writable(struct chan *c)
{
	struct switched *s = container_of(c, struct switched, down);

	if (s->up.link) {
		pass_limit(s, &s->down, &s->up);
	}
}

static void down_eof(struct chan *c)
{
	struct switched *s = container_of(c, struct switched, down);

	s->eof = true;
	flush_up(s);
}

static void down_ctl(struct chan *c, const struct tunnel_ctl *ctl)
{
	struct switched *s = container_of(c, struct switched, down);

	if (s->up.link && tunnel_link_ctl(s->up.link, s->up.number, ctl) < 0) {
		end(s, "internal");
	}
}

static void down_closed(struct chan *c, const char *reason)
{
	end(container_of(c, struct switched, down), reason);
}

static const struct chan_ops up_ops = {
	.opened = up_opened,
	.data = up_data,
	.screen = up_screen,
	.gap = up_gap,
	.writable = up_writable,
	.eof = up_eof,
	.ctl = up_ctl,
	.closed = up_closed,
};

static const struct chan_ops down_ops = {
	.opened = chan_ignore_opened,
	.data = down_data,
	.screen = chan_ignore_screen,
	.gap = chan_ignore_gap,
	.writable = down_writable,
	.eof = down_eof,
	.ctl = down_ctl,
	.closed = down_closed,
};

int switched_open(struct tunnel_link *relay, struct tunnel_link *client, uint16_t channel,
		  const char *service, uint8_t mode, uint64_t from, struct switched **ret)
{
	uint64_t window = MIN(tunnel_link_tx_limit(client, channel), (uint64_t)WINDOW_MAX_BYTES);
	struct switched *s;
	int r;

	*ret = NULL;
	if (!tunnel_link_is_up(relay)) {
		return tunnel_link_refuse(client, channel, "relay-lost");
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		return -ENOMEM;
	}
	buf_init(&s->waiting, WINDOW_MAX_BYTES);
	r = chan_open(&s->up, &up_ops, relay, service, mode, from, window);
	if (r < 0) {
		free(s);
		return tunnel_link_refuse(client, channel, r == -ENOSPC ? "quota" : "internal");
	}
	chan_bind(&s->down, &down_ops, client, channel);
	*ret = s;
	return 0;
}

bool switched_is_dead(const struct switched *s)
{
	return s->dead;
}

struct switched *switched_free(struct switched *s)
{
	if (s) {
		end(s, "");
		buf_fini(&s->waiting);
		free(s);
	}
	return NULL;
}
