/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One end of a tunnel connection.
 *
 * Theory of operation: input is decoded where it lies; only a frame that came in part is kept.
 * While the link is not up, everything but a HELLO that counts is skipped. A frame is handled by
 * one function, which checks it against the channel's state, changes that, and calls back last: a
 * callback may close the channel or start the whole link anew, so nothing is touched after it
 * without being looked up again.
 *
 * A channel stays in the table until both sides have closed it. What we closed is hidden from the
 * owner, and what still comes for it is checked, but not passed on. A channel that the peer closes
 * is answered at once, so that its number is free when closed() returns.
 */
#include "tunnel_link_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

#define LINK_OUTPUT_MIN (256 * 1024)

static bool is_ours(const struct tunnel_link *l, uint16_t number)
{
	return (number % 2 == 1) == (l->role == TUNNEL_DIALER);
}

/* Output */

static int link_put_hello(struct tunnel_link *l)
{
	const struct tunnel_frame hello = {
		.type = TUNNEL_HELLO,
		.hello = {
			.version = TUNNEL_VERSION,
			.role = (uint16_t)l->role,
			.nonce = l->nonce,
			.echo = l->peer_nonce,
		},
	};
	uint8_t *zeros;
	int r;

	if (l->flush_due) {
		r = buf_reserve(&l->out, TUNNEL_FLUSH_BYTES, &zeros);
		if (r < 0) {
			return r;
		}
		memset(zeros, 0, TUNNEL_FLUSH_BYTES);
		buf_commit(&l->out, TUNNEL_FLUSH_BYTES);
		l->flush_due = false;
	}
	if (l->hello_due) {
		r = tunnel_encode(&l->out, &hello);
		if (r < 0) {
			return r;
		}
		l->hello_due = false;
	}
	return 0;
}

int link_put(struct tunnel_link *l, const struct tunnel_frame *frame)
{
	int r = link_put_hello(l);

	return r < 0 ? r : tunnel_encode(&l->out, frame);
}

int link_put_reason(struct tunnel_link *l, enum tunnel_type type, uint16_t number,
		    const char *reason)
{
	struct tunnel_frame frame = { .type = type, .channel = number };

	if (strlen(reason) >= sizeof(frame.reason)) {
		return -EINVAL;
	}
	strcpy(frame.reason, reason);
	return link_put(l, &frame);
}

int link_put_value(struct tunnel_link *l, enum tunnel_type type, uint16_t number, uint64_t value)
{
	return link_put(l,
			&(struct tunnel_frame){ .type = type, .channel = number, .value = value });
}

size_t link_space(const struct tunnel_link *l)
{
	size_t room = buf_room(&l->out);

	return room > LINK_OUTPUT_RESERVE ? room - LINK_OUTPUT_RESERVE : 0;
}

struct buf *tunnel_link_output(struct tunnel_link *l)
{
	int r = link_put_hello(l);

	(void)r; /* no memory: it stays due, and is tried again with the next look at the output */
	return &l->out;
}

/* Keeps `out_partial` true for `len` bytes that leave from the head of the output. */
static void link_count_sent(struct tunnel_link *l, size_t len)
{
	const uint8_t *p = buf_data(&l->out);

	while (len > 0) {
		size_t step;

		if (l->out_partial == 0) {
			l->out_partial = tunnel_frame_size(p); /* frames get in as a whole */
		}
		step = MIN(len, l->out_partial);
		l->out_partial -= step;
		p += step;
		len -= step;
	}
}

/* One turn over the channels that wait for output, from behind the one that was served last. */
static void link_serve_starved(struct tunnel_link *l)
{
	uint16_t first = l->last_served;

	/* writable() may make the table longer: what is new has not waited. */
	for (unsigned i = 1, n = l->n_slots; i < n; i++) {
		uint16_t number = (uint16_t)((first + i - 1) % (n - 1) + 1);
		struct channel *ch = l->channels[number];

		/* Half of it free: neither a frame for each few bytes sent, nor an output that runs
		 * dry. */
		if (link_space(l) < (l->out.max_bytes - LINK_OUTPUT_RESERVE) / 2) {
			return;
		}
		if (ch && ch->starved && !ch->closed && !ch->ending) {
			ch->starved = false;
			l->last_served = number;
			l->ops->writable(l, number, l->user);
		}
	}
}

void tunnel_link_output_sent(struct tunnel_link *l, size_t len)
{
	link_count_sent(l, len);
	buf_consume(&l->out, len);
	buf_give_back(&l->out);
	if (l->in_writable) {
		l->sent_again = true;
		return;
	}
	l->in_writable = true;
	do {
		l->sent_again = false;
		link_serve_starved(l);
	} while (l->sent_again);
	l->in_writable = false;
}

/* Start and end */

int channel_put(struct tunnel_link *l, uint16_t number, struct channel *ch)
{
	if (number >= l->n_slots) {
		unsigned twice = MIN(2 * l->n_slots, TUNNEL_CHANNEL_LAST + 1u);
		unsigned n = MAX(twice, number + 1u);
		struct channel **longer = realloc(l->channels, n * sizeof(*longer));

		if (!longer) {
			return -ENOMEM;
		}
		memset(longer + l->n_slots, 0, (n - l->n_slots) * sizeof(*longer));
		l->channels = longer;
		l->n_slots = n;
	}
	l->channels[number] = ch;
	return 0;
}

void channel_drop(struct tunnel_link *l, uint16_t number)
{
	free(l->channels[number]);
	l->channels[number] = NULL;
}

/* Tells the owner, if it still knows the channel. False: all channels are gone by now. */
static bool channel_tell_end(struct tunnel_link *l, uint16_t number, const char *reason)
{
	struct channel *ch = l->channels[number];
	uint64_t starts = l->starts;

	if (!ch->closed && !ch->ending) {
		ch->ending = true;
		l->ops->closed(l, number, reason, l->user);
	}
	return l->starts == starts;
}

static void channel_end(struct tunnel_link *l, uint16_t number, const char *reason)
{
	if (channel_tell_end(l, number, reason)) {
		channel_drop(l, number);
	}
}

/* All that belongs to one start, but for a frame that is already on its way in part. */
static void link_forget(struct tunnel_link *l)
{
	l->up = false;
	l->starts++;
	l->forgetting = true;
	for (uint16_t n = 1; n < l->n_slots; n++) {
		if (l->channels[n]) {
			channel_end(l, n, "relay-lost");
		}
	}
	l->forgetting = false;
	buf_truncate(&l->out, l->out_partial);
	l->peer_nonce = 0;
	l->flush_due = false;
	l->hello_due = true;
}

static uint64_t new_nonce(void)
{
	uint64_t nonce;

	do {
		random_bytes(&nonce, sizeof(nonce));
	} while (nonce == 0);
	return nonce;
}

static void link_start_anew(struct tunnel_link *l)
{
	link_forget(l);
	l->nonce = new_nonce();
}

int tunnel_link_new(enum tunnel_role role, const struct tunnel_link_ops *ops, void *user,
		    size_t output_max, struct tunnel_link **ret)
{
	struct tunnel_link *l = calloc(1, sizeof(*l));

	if (!l) {
		return -ENOMEM;
	}
	l->role = role;
	l->ops = ops;
	l->user = user;
	buf_init(&l->in, TUNNEL_HEADER_BYTES + TUNNEL_PAYLOAD_MAX);
	buf_init(&l->out, MAX(output_max, (size_t)LINK_OUTPUT_MIN));
	l->nonce = new_nonce();
	l->hello_due = true;
	*ret = l;
	return 0;
}

struct tunnel_link *tunnel_link_free(struct tunnel_link *l)
{
	if (!l) {
		return NULL;
	}
	assert(!l->in_input && !l->in_writable && !l->forgetting);
	for (uint16_t n = 1; n < l->n_slots; n++) {
		channel_drop(l, n);
	}
	free(l->channels);
	buf_fini(&l->in);
	buf_fini(&l->out);
	free(l);
	return NULL;
}

void tunnel_link_reset(struct tunnel_link *l)
{
	if (l->forgetting) {
		return; /* called from closed(): it is being done */
	}
	link_start_anew(l);
	buf_clear(&l->out);
	l->out_partial = 0;
	l->flush_due = l->role == TUNNEL_DIALER;
	l->broken = false;
	if (l->in_input) {
		l->stop = true; /* the callback's bytes may lie in l->in: cleared when it has
				   returned */
	} else {
		buf_clear(&l->in);
	}
}

void tunnel_link_set_portlike(struct tunnel_link *l)
{
	l->portlike = true;
}

bool tunnel_link_is_up(const struct tunnel_link *l)
{
	return l->up;
}

/* Input: one function for each type of frame */

/* Does this HELLO bring the link up? */
static bool hello_counts(const struct tunnel_link *l, const struct tunnel_frame *f)
{
	if (l->role == TUNNEL_DIALER) {
		return f->hello.role == TUNNEL_LISTENER && f->hello.echo == l->nonce;
	}
	return f->hello.role == TUNNEL_DIALER;
}

static int handle_hello(struct tunnel_link *l, const struct tunnel_frame *f)
{
	if (l->up && f->hello.role == l->role) {
		return -EPROTO;
	}
	if (l->role == TUNNEL_DIALER && l->up) {
		/* The listener is a new one, or starts anew: so do we. */
		link_start_anew(l);
		return 0;
	}
	if (l->role == TUNNEL_LISTENER) {
		int r;

		link_forget(l);
		l->peer_nonce = f->hello.nonce;
		r = link_put_hello(l);
		if (r < 0) {
			return r;
		}
	}
	l->up = true;
	l->ops->up(l, l->user);
	return 0;
}

static int handle_open(struct tunnel_link *l, const struct tunnel_frame *f)
{
	struct channel *ch;
	int r;

	if (f->channel > TUNNEL_CHANNEL_LAST || is_ours(l, f->channel) ||
	    channel_at(l, f->channel)) {
		return -EPROTO;
	}
	ch = calloc(1, sizeof(*ch));
	if (!ch) {
		return -ENOMEM;
	}
	ch->state = CHANNEL_ASKING;
	ch->mode = f->open.mode;
	ch->tx_limit = f->open.limit; /* from the start that we shall name */
	ch->tx_screen_due = f->open.from == TUNNEL_FROM_SCREEN;
	r = channel_put(l, f->channel, ch);
	if (r < 0) {
		free(ch);
		return r;
	}
	l->ops->open(l, f->channel, f->open.service, f->open.mode, f->open.from, l->user);
	return 0;
}

static int handle_opened(struct tunnel_link *l, struct channel *ch, const struct tunnel_frame *f)
{
	if (ch->state != CHANNEL_ASKED || (f->opened.mode & ~ch->mode)) {
		return -EPROTO;
	}
	ch->state = CHANNEL_OPEN;
	ch->tx_limit = f->opened.limit;
	ch->rx_offset = f->opened.start;
	ch->rx_limit = add_saturated(f->opened.start, ch->rx_limit);
	if (!ch->closed) {
		l->ops->opened(l, f->channel, f->opened.start, f->opened.mode, l->user);
	}
	return 0;
}

static int handle_refused(struct tunnel_link *l, struct channel *ch, const struct tunnel_frame *f)
{
	if (ch->state != CHANNEL_ASKED) {
		return -EPROTO;
	}
	channel_end(l, f->channel, f->reason);
	return 0;
}

/* Bytes that the peer may still send. */
static uint64_t rx_room(const struct channel *ch)
{
	uint64_t had = add_saturated(ch->rx_offset, ch->rx_screen);

	return ch->rx_limit > had ? ch->rx_limit - had : 0;
}

static int handle_screen(struct tunnel_link *l, struct channel *ch, const struct tunnel_frame *f)
{
	if (!ch->rx_screen_due || f->screen.len > rx_room(ch) ||
	    f->screen.len > TUNNEL_SCREEN_MAX - ch->rx_screen) {
		return -EPROTO;
	}
	ch->rx_screen += f->screen.len;
	ch->rx_screen_due = !f->screen.last;
	if (!ch->closed) {
		l->ops->screen(l, f->channel, f->screen.bytes, f->screen.len, f->screen.last,
			       l->user);
	}
	return 0;
}

static int handle_data(struct tunnel_link *l, struct channel *ch, const struct tunnel_frame *f)
{
	if (ch->rx_eof || f->data.offset != ch->rx_offset || f->data.len > rx_room(ch)) {
		return -EPROTO;
	}
	ch->rx_screen_due = false;
	ch->rx_offset += f->data.len;
	if (!ch->closed) {
		l->ops->data(l, f->channel, f->data.offset, f->data.bytes, f->data.len, l->user);
	}
	return 0;
}

static int handle_gap(struct tunnel_link *l, struct channel *ch, const struct tunnel_frame *f)
{
	if (ch->rx_eof || f->gap.offset != ch->rx_offset ||
	    f->gap.length > UINT64_MAX - ch->rx_offset) {
		return -EPROTO;
	}
	ch->rx_screen_due = false;
	ch->rx_offset += f->gap.length;
	if (!ch->closed) {
		l->ops->gap(l, f->channel, f->gap.offset, f->gap.length, l->user);
	}
	return 0;
}

static int handle_credit(struct tunnel_link *l, struct channel *ch, const struct tunnel_frame *f)
{
	if (f->value <= ch->tx_limit) {
		return 0;
	}
	ch->tx_limit = f->value;
	if (!ch->closed && !ch->tx_eof) {
		l->ops->writable(l, f->channel, l->user);
	}
	return 0;
}

static int handle_eof(struct tunnel_link *l, struct channel *ch, const struct tunnel_frame *f)
{
	if (ch->rx_eof || f->value != ch->rx_offset) {
		return -EPROTO;
	}
	ch->rx_screen_due = false;
	ch->rx_eof = true;
	if (!ch->closed) {
		l->ops->eof(l, f->channel, l->user);
	}
	return 0;
}

static int handle_ctl(struct tunnel_link *l, struct channel *ch, const struct tunnel_frame *f)
{
	bool known = f->ctl.op >= TUNNEL_CTL_BREAK && f->ctl.op < _TUNNEL_CTL_MAX;

	if (known && !ch->closed) {
		l->ops->ctl(l, f->channel, &f->ctl, l->user);
	}
	return 0;
}

static int handle_close(struct tunnel_link *l, struct channel *ch, const struct tunnel_frame *f)
{
	if (!ch->closed) {
		int r;

		if (ch->state == CHANNEL_ASKED) {
			return -EPROTO; /* no answer at all */
		}
		r = link_put_reason(l, TUNNEL_CLOSE, f->channel, "");
		if (r < 0) {
			return r;
		}
	}
	channel_end(l, f->channel, f->reason);
	return 0;
}

/* Frames of a channel that is in the table. */
static int handle_channel_frame(struct tunnel_link *l, struct channel *ch,
				const struct tunnel_frame *f)
{
	switch (f->type) {
	case TUNNEL_OPENED:
		return handle_opened(l, ch, f);
	case TUNNEL_REFUSED:
		return handle_refused(l, ch, f);
	case TUNNEL_CLOSE:
		return handle_close(l, ch, f);
	default:
		break;
	}
	if (ch->state != CHANNEL_OPEN) {
		return -EPROTO;
	}
	switch (f->type) {
	case TUNNEL_DATA:
		return handle_data(l, ch, f);
	case TUNNEL_SCREEN:
		return handle_screen(l, ch, f);
	case TUNNEL_GAP:
		return handle_gap(l, ch, f);
	case TUNNEL_CREDIT:
		return handle_credit(l, ch, f);
	case TUNNEL_EOF:
		return handle_eof(l, ch, f);
	case TUNNEL_CTL:
		return handle_ctl(l, ch, f);
	default:
		return -EPROTO;
	}
}

static int link_handle(struct tunnel_link *l, const struct tunnel_frame *f)
{
	struct channel *ch;

	switch (f->type) {
	case TUNNEL_HELLO:
		return handle_hello(l, f);
	case TUNNEL_PING:
		return link_put_value(l, TUNNEL_PONG, 0, f->value);
	case TUNNEL_PONG:
		return 0;
	case TUNNEL_OPEN:
		return handle_open(l, f);
	default:
		break;
	}
	ch = channel_at(l, f->channel);
	if (ch) {
		return handle_channel_frame(l, ch, f);
	}
	/* A CLOSE of the peer's may have crossed our REFUSED. */
	return f->type == TUNNEL_CLOSE && !is_ours(l, f->channel) ? 0 : -EPROTO;
}

/* Takes all whole frames from the head of [p, p+len); what is left is the head of one frame. */
static int link_take_frames(struct tunnel_link *l, const uint8_t *p, size_t len, size_t *ret_used)
{
	size_t at = 0;

	while (at < len && !l->stop) {
		struct tunnel_frame f;
		size_t used;
		int r;

		if (!l->up) {
			at += tunnel_skip_to_hello(p + at, len - at);
		}
		r = tunnel_decode(p + at, len - at, &f, &used);
		if (r == 0) {
			break;
		}
		if (!l->up && (r < 0 || !hello_counts(l, &f))) {
			at++; /* looks like a HELLO, is none for us */
			continue;
		}
		if (r > 0) {
			at += used;
			r = link_handle(l, &f);
		}
		if (r < 0 && !l->stop) {
			if (!l->portlike) {
				return r;
			}
			link_start_anew(l);
		}
	}
	*ret_used = at;
	return 0;
}

/* How many bytes are missing to the frame that begins in l->in; never more than belong to it. */
static size_t link_missing(struct tunnel_link *l)
{
	const uint8_t *p = buf_data(&l->in);
	size_t have = buf_len(&l->in);

	if (have < TUNNEL_HEADER_BYTES) {
		return TUNNEL_HEADER_BYTES - have;
	}
	return tunnel_frame_size(p) - have;
}

static int link_input(struct tunnel_link *l, const uint8_t *p, size_t len)
{
	while (len > 0 && !l->stop) {
		size_t used;
		int r;

		if (buf_len(&l->in) == 0) {
			r = link_take_frames(l, p, len, &used);
			if (r < 0 || l->stop) {
				return r;
			}
			return buf_append(&l->in, p + used, len - used);
		}
		used = MIN(len, link_missing(l));
		r = buf_append(&l->in, p, used);
		if (r < 0) {
			return r;
		}
		p += used;
		len -= used;
		r = link_take_frames(l, buf_data(&l->in), buf_len(&l->in), &used);
		if (r < 0) {
			return r;
		}
		buf_consume(&l->in, used);
	}
	buf_give_back(&l->in);
	return 0;
}

int tunnel_link_input(struct tunnel_link *l, const uint8_t *p, size_t len)
{
	int r;

	assert(!l->in_input);
	if (l->broken) {
		return -EPROTO;
	}
	l->in_input = true;
	r = link_input(l, p, len);
	l->in_input = false;
	if (l->stop) {
		l->stop = false;
		buf_clear(&l->in);
		return 0;
	}
	if (r < 0 && l->portlike) {
		/* No memory for the rest of a frame. */
		link_start_anew(l);
		buf_clear(&l->in);
		return 0;
	}
	l->broken = r < 0;
	return r;
}
