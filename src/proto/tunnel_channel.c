/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of a tunnel link's owner: open, grant, send, credit, close. State and input:
 * tunnel_link.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "tunnel_link_private.h"

static struct channel *channel_look(const struct tunnel_link *l, uint16_t number)
{
	struct channel *ch = channel_at(l, number);

	return ch && !ch->closed ? ch : NULL;
}

/* The channel, if the owner may do something with it that belongs to `state`. */
static int channel_use(const struct tunnel_link *l, uint16_t number, enum channel_state state,
		       struct channel **ret)
{
	struct channel *ch = channel_look(l, number);

	if (!ch || ch->ending) {
		return -ENOENT;
	}
	if (ch->state != state) {
		return -EINVAL;
	}
	*ret = ch;
	return 0;
}

static int link_free_number(const struct tunnel_link *l, uint16_t *ret)
{
	unsigned offset = l->role == TUNNEL_DIALER ? 1 : 2;
	unsigned first = l->last_opened ? (l->last_opened - offset) / 2 + 1 : 0;

	for (unsigned i = 0; i < TUNNEL_CHANNELS_MAX; i++) {
		unsigned number = (first + i) % TUNNEL_CHANNELS_MAX * 2 + offset;

		if (!channel_at(l, (uint16_t)number)) {
			*ret = (uint16_t)number;
			return 0;
		}
	}
	return -ENOSPC;
}

int tunnel_link_open(struct tunnel_link *l, const char *service, uint8_t mode, uint64_t from,
		     uint64_t window, uint16_t *ret_channel)
{
	struct tunnel_frame f = {
		.type = TUNNEL_OPEN,
		.open = { .from = from, .limit = window, .mode = mode },
	};
	_cleanup_free_ struct channel *ch = NULL;
	int r;

	if (!l->up) {
		return -ENOTCONN;
	}
	if (strlen(service) > TUNNEL_SERVICE_MAX) {
		return -EINVAL;
	}
	strcpy(f.open.service, service);
	r = link_free_number(l, &f.channel);
	if (r < 0) {
		return r;
	}
	ch = calloc(1, sizeof(*ch));
	if (!ch) {
		return -ENOMEM;
	}
	ch->state = CHANNEL_ASKED;
	ch->mode = mode;
	ch->rx_limit = window;
	ch->rx_screen_due = from == TUNNEL_FROM_SCREEN;
	r = channel_put(l, f.channel, ch);
	if (r < 0) {
		return r;
	}
	r = link_put(l, &f);
	if (r < 0) {
		l->channels[f.channel] = NULL;
		return r;
	}
	TAKE_PTR(ch);
	l->last_opened = f.channel;
	*ret_channel = f.channel;
	return 0;
}

int tunnel_link_accept(struct tunnel_link *l, uint16_t channel, uint64_t start, uint64_t limit,
		       uint8_t mode)
{
	struct tunnel_frame f = {
		.type = TUNNEL_OPENED,
		.channel = channel,
		.opened = { .start = start, .limit = limit },
	};
	struct channel *ch;
	int r = channel_use(l, channel, CHANNEL_ASKING, &ch);

	if (r < 0) {
		return r;
	}
	f.opened.mode = mode & ch->mode;
	r = link_put(l, &f);
	if (r < 0) {
		return r;
	}
	ch->state = CHANNEL_OPEN;
	ch->tx_offset = start;
	ch->tx_limit = add_saturated(start, ch->tx_limit);
	ch->rx_limit = limit;
	return 0;
}

int tunnel_link_refuse(struct tunnel_link *l, uint16_t channel, const char *reason)
{
	struct channel *ch;
	int r = channel_use(l, channel, CHANNEL_ASKING, &ch);

	if (r < 0) {
		return r;
	}
	r = link_put_reason(l, TUNNEL_REFUSED, channel, reason);
	if (r < 0) {
		return r;
	}
	channel_drop(l, channel);
	return 0;
}

size_t tunnel_link_room(struct tunnel_link *l, uint16_t channel)
{
	struct channel *ch;
	size_t space = link_space(l);
	size_t frames = space / (TUNNEL_DATA_MAX + LINK_DATA_OVERHEAD) + 1;
	uint64_t credit;

	if (channel_use(l, channel, CHANNEL_OPEN, &ch) < 0 || ch->tx_eof ||
	    ch->tx_limit <= add_saturated(ch->tx_offset, ch->tx_screen)) {
		return 0;
	}
	credit = ch->tx_limit - ch->tx_offset - ch->tx_screen;
	space = space > frames * LINK_DATA_OVERHEAD ? space - frames * LINK_DATA_OVERHEAD : 0;
	if (credit > space) {
		ch->starved = true;
		return space;
	}
	return (size_t)credit;
}

ssize_t tunnel_link_send(struct tunnel_link *l, uint16_t channel, const void *p, size_t len)
{
	struct channel *ch;
	size_t left, sent = 0;
	int r = channel_use(l, channel, CHANNEL_OPEN, &ch);

	if (r < 0) {
		return r;
	}
	if (ch->tx_eof) {
		return -EPIPE;
	}
	ch->tx_screen_due = false;
	left = MIN(len, tunnel_link_room(l, channel));
	while (left > 0) {
		struct tunnel_frame f = {
			.type = TUNNEL_DATA,
			.channel = channel,
			.data = {
				.offset = ch->tx_offset,
				.bytes = (const uint8_t *)p + sent,
				.len = MIN(left, (size_t)TUNNEL_DATA_MAX),
			},
		};

		r = link_put(l, &f);
		if (r < 0) {
			return sent > 0 ? (ssize_t)sent : r;
		}
		ch->tx_offset += f.data.len;
		sent += f.data.len;
		left -= f.data.len;
	}
	return (ssize_t)sent;
}

ssize_t tunnel_link_send_screen(struct tunnel_link *l, uint16_t channel, const void *p, size_t len,
				bool last)
{
	struct channel *ch;
	size_t n, sent = 0;
	int r = channel_use(l, channel, CHANNEL_OPEN, &ch);

	if (r < 0) {
		return r;
	}
	if (!ch->tx_screen_due || len > TUNNEL_SCREEN_MAX - ch->tx_screen) {
		return -EINVAL;
	}
	n = MIN(len, tunnel_link_room(l, channel));
	while (sent < n) {
		struct tunnel_frame f = {
			.type = TUNNEL_SCREEN,
			.channel = channel,
			.screen = {
				.bytes = (const uint8_t *)p + sent,
				.len = MIN(n - sent, (size_t)TUNNEL_DATA_MAX),
			},
		};

		f.screen.last = last && sent + f.screen.len == len;
		r = link_put(l, &f);
		if (r < 0) {
			return sent > 0 ? (ssize_t)sent : r;
		}
		sent += f.screen.len;
		ch->tx_screen += f.screen.len;
		ch->tx_screen_due = !f.screen.last;
	}
	return (ssize_t)sent;
}

/* The part of a frame behind its first `sent` bytes. */
static int frame_rest(struct tunnel_link *l, const uint8_t *head, const void *p, size_t len,
		      size_t sent)
{
	size_t head_sent = MIN(sent, (size_t)TUNNEL_DATA_HEAD_BYTES);
	int r = buf_append(&l->out, head + head_sent, TUNNEL_DATA_HEAD_BYTES - head_sent);

	sent -= head_sent;
	if (r == 0) {
		r = buf_append(&l->out, (const uint8_t *)p + sent, len - sent);
	}
	l->out_partial = buf_len(&l->out);
	return r;
}

ssize_t tunnel_link_send_now(struct tunnel_link *l, uint16_t channel, const void *p, size_t len,
			     tunnel_write_fn write, void *user)
{
	uint8_t head[TUNNEL_DATA_HEAD_BYTES];
	struct channel *ch;
	size_t sent;
	int r = channel_use(l, channel, CHANNEL_OPEN, &ch);

	if (r < 0) {
		return r;
	}
	if (ch->tx_eof) {
		return -EPIPE;
	}
	if (buf_len(&l->out) > 0 || l->hello_due ||
	    ch->tx_limit <= add_saturated(ch->tx_offset, ch->tx_screen)) {
		return 0;
	}
	len = MIN(len, (size_t)TUNNEL_DATA_MAX);
	len = (size_t)MIN((uint64_t)len, ch->tx_limit - ch->tx_offset - ch->tx_screen);
	tunnel_data_head(head, channel, ch->tx_offset, len);
	sent = len > 0 ? write(head, sizeof(head), p, len, user) : 0;
	if (sent == 0) {
		return 0;
	}
	r = frame_rest(l, head, p, len, sent);
	if (r < 0) {
		return r;
	}
	ch->tx_screen_due = false;
	ch->tx_offset += len;
	return (ssize_t)len;
}

uint64_t tunnel_link_tx_offset(const struct tunnel_link *l, uint16_t channel)
{
	const struct channel *ch = channel_look(l, channel);

	return ch ? ch->tx_offset : 0;
}

uint64_t tunnel_link_tx_limit(const struct tunnel_link *l, uint16_t channel)
{
	const struct channel *ch = channel_look(l, channel);

	return ch ? ch->tx_limit - MIN(ch->tx_limit, ch->tx_screen) : 0;
}

uint64_t tunnel_link_rx_offset(const struct tunnel_link *l, uint16_t channel)
{
	const struct channel *ch = channel_look(l, channel);

	return ch ? ch->rx_offset : 0;
}

uint64_t tunnel_link_rx_limit(const struct tunnel_link *l, uint16_t channel)
{
	const struct channel *ch = channel_look(l, channel);

	return ch ? ch->rx_limit - MIN(ch->rx_limit, ch->rx_screen) : 0;
}

int tunnel_link_send_gap(struct tunnel_link *l, uint16_t channel, uint64_t length)
{
	struct channel *ch;
	int r = channel_use(l, channel, CHANNEL_OPEN, &ch);

	if (r < 0) {
		return r;
	}
	if (ch->tx_eof) {
		return -EPIPE;
	}
	if (length > UINT64_MAX - ch->tx_offset) {
		return -EINVAL;
	}
	r = link_put(l, &(struct tunnel_frame){ .type = TUNNEL_GAP,
						.channel = channel,
						.gap = { ch->tx_offset, length } });
	if (r < 0) {
		return r;
	}
	ch->tx_screen_due = false;
	ch->tx_offset += length;
	return 0;
}

int tunnel_link_credit(struct tunnel_link *l, uint16_t channel, uint64_t limit)
{
	struct channel *ch;
	int r = channel_use(l, channel, CHANNEL_OPEN, &ch);

	if (r < 0) {
		return r;
	}
	limit = add_saturated(limit, ch->rx_screen);
	if (limit <= ch->rx_limit || ch->rx_eof) {
		return 0;
	}
	r = link_put_value(l, TUNNEL_CREDIT, channel, limit);
	if (r < 0) {
		return r;
	}
	ch->rx_limit = limit;
	return 0;
}

int tunnel_link_eof(struct tunnel_link *l, uint16_t channel)
{
	struct channel *ch;
	int r = channel_use(l, channel, CHANNEL_OPEN, &ch);

	if (r < 0) {
		return r;
	}
	if (ch->tx_eof) {
		return 0;
	}
	r = link_put_value(l, TUNNEL_EOF, channel, ch->tx_offset);
	if (r < 0) {
		return r;
	}
	ch->tx_eof = true;
	return 0;
}

int tunnel_link_ctl(struct tunnel_link *l, uint16_t channel, const struct tunnel_ctl *ctl)
{
	struct channel *ch;
	int r = channel_use(l, channel, CHANNEL_OPEN, &ch);

	if (r < 0) {
		return r;
	}
	return link_put(
		l, &(struct tunnel_frame){ .type = TUNNEL_CTL, .channel = channel, .ctl = *ctl });
}

int tunnel_link_close(struct tunnel_link *l, uint16_t channel, const char *reason)
{
	struct channel *ch = channel_look(l, channel);
	int r;

	if (!ch || ch->ending) {
		return -ENOENT;
	}
	if (ch->state == CHANNEL_ASKING) {
		return tunnel_link_refuse(l, channel, *reason ? reason : "cancelled");
	}
	r = link_put_reason(l, TUNNEL_CLOSE, channel, reason);
	if (r < 0) {
		return r;
	}
	ch->closed = true;
	return 0;
}

void tunnel_link_set_data(struct tunnel_link *l, uint16_t channel, void *data)
{
	struct channel *ch = channel_look(l, channel);

	if (ch) {
		ch->data = data;
	}
}

void *tunnel_link_get_data(const struct tunnel_link *l, uint16_t channel)
{
	const struct channel *ch = channel_look(l, channel);

	return ch ? ch->data : NULL;
}
