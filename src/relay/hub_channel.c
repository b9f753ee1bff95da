/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reader of a hub on a channel.
 *
 * Theory of operation: bytes go from the ring straight into frames while the peer has given credit
 * and its connection has drained; nothing is queued for a reader that does not keep up. Credit for
 * typing is what the hub's input queue has room for, and is only given to the writer. A writer that
 * named his input is told with each credit how much of it the hub has had; once another channel has
 * named the same input, what still comes here is dropped.
 */
#include "hub_channel.h"

#include <stdlib.h>

#include "channel.h"

/* At most so much goes in one frame: a frame is had whole or not at all, and a reader whose line
 * breaks again and again is to come on all the same. */
#define PIECE ((size_t)32 * 1024)

struct hub_channel {
	struct channel channel;
	struct hub *hub;
	struct hub_reader *reader;
	bool named; /* an input */
};

static struct hub_channel *from_channel(struct channel *c)
{
	return container_of(c, struct hub_channel, channel);
}

static void free_all(struct hub_channel *h)
{
	inputs_release(hub_inputs(h->hub), h);
	hub_reader_free(h->reader);
	free(h);
}

static void pump(struct hub_channel *h)
{
	struct hub_chunk chunk;

	for (;;) {
		size_t room = channel_room(&h->channel), n = 0;

		hub_reader_next(h->reader, &chunk);
		if (chunk.kind == HUB_NOTHING || room == 0) {
			return;
		}
		if (chunk.kind == HUB_GAP) {
			channel_gap(&h->channel, chunk.len);
		} else if (chunk.kind == HUB_SCREEN) {
			n = channel_screen(&h->channel, chunk.bytes, (size_t)chunk.len, true);
			if (n == 0) {
				return;
			}
		} else {
			n = channel_send_now(&h->channel, chunk.bytes,
					     MIN((size_t)chunk.len, PIECE));
			if (n == 0) {
				return;
			}
		}
		hub_reader_took(h->reader, &chunk, n);
	}
}

static void credit_input(struct hub_channel *h)
{
	channel_window(&h->channel, hub_reader_input_room(h->reader));
}

static void tell_input(struct hub_channel *h, uint64_t id, uint64_t had)
{
	struct tunnel_ctl ctl = { .op = TUNNEL_CTL_INPUT, .id = id, .at = had };

	channel_ctl(&h->channel, &ctl);
}

static void tell_broke(struct hub_channel *h, bool done)
{
	struct tunnel_ctl ctl = { .op = TUNNEL_CTL_BROKE, .on = done };

	channel_ctl(&h->channel, &ctl);
}

static void tell_writer(struct hub_channel *h, bool holds)
{
	struct tunnel_ctl ctl = { .op = TUNNEL_CTL_WRITER, .on = holds };

	channel_ctl(&h->channel, &ctl);
	credit_input(h);
}

static void tell_source(struct hub_channel *h, bool up)
{
	struct tunnel_ctl ctl = { .op = TUNNEL_CTL_SOURCE, .on = up };

	channel_ctl(&h->channel, &ctl);
}

static void on_ready(void *user)
{
	pump(user);
}

static void on_writer(bool holds, void *user)
{
	tell_writer(user, holds);
}

static void on_source(bool up, void *user)
{
	tell_source(user, up);
}

static void on_input_room(void *user)
{
	credit_input(user);
}

static void on_resized(unsigned rows, unsigned columns, void *user)
{
	struct hub_channel *h = user;
	struct tunnel_ctl ctl = { .op = TUNNEL_CTL_WINSIZE,
				  .rows = (uint16_t)rows,
				  .columns = (uint16_t)columns };

	channel_ctl(&h->channel, &ctl);
}

static void on_broke(bool done, void *user)
{
	tell_broke(user, done);
}

static const struct hub_reader_ops reader_ops = {
	.ready = on_ready,
	.writer = on_writer,
	.source = on_source,
	.input_room = on_input_room,
	.resized = on_resized,
	.broke = on_broke,
};

static void on_data(struct channel *c, const uint8_t *p, size_t len)
{
	struct hub_channel *h = from_channel(c);
	struct input *input = h->named ? inputs_of(hub_inputs(h->hub), h) : NULL;

	if (h->named && !input) {
		return;
	}
	if (input && hub_reader_is_writer(h->reader)) {
		input->had += len;
		tell_input(h, input->id, input->had);
	}
	if (hub_reader_write(h->reader, p, len) < 0) {
		channel_close(c, fault_code_name(FAULT_QUOTA));
		free_all(h);
		return;
	}
	credit_input(h);
}

static void on_writable(struct channel *c)
{
	pump(from_channel(c));
}

static void input_named(struct hub_channel *h, uint64_t id)
{
	struct hub_channel *old;
	uint64_t had;
	void *holder;

	(void)inputs_claim(hub_inputs(h->hub), id, h, &had, &holder);
	h->named = true;
	old = holder;
	/* His former connection, whose end has not been noticed here yet. */
	if (old && old != h && hub_reader_succeed(h->reader, old->reader)) {
		tell_writer(h, true);
	}
	tell_input(h, id, had);
}

static void on_ctl(struct channel *c, const struct tunnel_ctl *ctl)
{
	struct hub_channel *h = from_channel(c);

	switch (ctl->op) {
	case TUNNEL_CTL_TAKE:
		tell_writer(h, hub_reader_take(h->reader));
		break;
	case TUNNEL_CTL_BREAK:
		if (!hub_reader_break(h->reader)) {
			tell_broke(h, false);
		}
		break;
	case TUNNEL_CTL_INPUT:
		input_named(h, ctl->id);
		break;
	case TUNNEL_CTL_WINSIZE:
		hub_reader_size(h->reader, ctl->rows, ctl->columns);
		break;
	case TUNNEL_CTL_PACE:
		hub_reader_pace(h->reader, ctl->rate);
		break;
	default:
		break;
	}
}

static void on_closed(struct channel *c, const char *reason)
{
	free_all(from_channel(c));
}

static const struct channel_ops channel_ops = {
	.opened = channel_ignore_opened,
	.data = on_data,
	.screen = channel_ignore_screen,
	.gap = channel_ignore_gap,
	.writable = on_writable,
	.eof = channel_ignore_eof,
	.ctl = on_ctl,
	.closed = on_closed,
};

void hub_channel_open(struct hub *hub, struct link_conn *conn, uint16_t id, uint8_t mode,
		      uint64_t from)
{
	struct hub_channel *h = calloc(1, sizeof(*h));
	enum fault_code code = FAULT_INTERNAL;
	unsigned rows, columns;

	if (h) {
		code = hub_reader_new(hub, &reader_ops, h, from, mode, &h->reader);
	}
	if (code != FAULT_NONE) {
		free(h);
		channel_refuse(conn, id, fault_code_name(code));
		return;
	}
	h->hub = hub;
	channel_init(&h->channel, &channel_ops, conn, id);
	if (!hub_reader_is_writer(h->reader)) {
		mode &= (uint8_t) ~(TUNNEL_MODE_WRITE | TUNNEL_MODE_TAKE);
	}
	channel_accept(&h->channel, hub_reader_offset(h->reader), hub_reader_input_room(h->reader),
		       mode);
	if (!hub_has_source(hub)) {
		tell_source(h, false);
	}
	if (hub_size(hub, &rows, &columns)) {
		on_resized(rows, columns, h);
	}
	pump(h);
}
