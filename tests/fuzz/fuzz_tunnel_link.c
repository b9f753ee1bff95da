/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile peer against one end of a tunnel, whose owner acts at random inside its callbacks:
 * opens, grants, sends, closes, starts anew. What the owner sees must keep the promises of
 * tunnel_link.h.
 *
 * Input: a byte of flags, the size of the pieces, two bytes from which the owner draws, then what
 * the peer sends after a valid HELLO.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "tunnel_link.h"

struct owner {
	struct tunnel_link *link;
	uint32_t state;	 /* of draw() */
	unsigned resets; /* bounded, for a reset drops the rest of the input */
	struct {
		bool known, granted, eof;
		uint64_t expected;
		size_t screen;
	} channels[TUNNEL_CHANNEL_LAST + 1];
};

static uint32_t draw(struct owner *o, uint32_t below)
{
	o->state = o->state * 1664525 + 1013904223;
	return (o->state >> 8) % below;
}

static void act(struct owner *o, uint16_t ch)
{
	static const uint8_t bytes[70000];
	const struct tunnel_ctl ctl = { .op = TUNNEL_CTL_TAKE };
	uint16_t opened;
	int r = 0;

	switch (draw(o, 24)) {
	case 0:
		r = tunnel_link_close(o->link, ch, "");
		o->channels[ch].known &= r != 0;
		break;
	case 1:
		r = tunnel_link_open(o->link, "x", 3, draw(o, 2) ? TUNNEL_FROM_SCREEN : 0,
				     draw(o, 1000), &opened);
		if (r == 0) {
			must(!o->channels[opened].known);
			memset(&o->channels[opened], 0, sizeof(o->channels[opened]));
			o->channels[opened].known = true;
		}
		break;
	case 2:
		if (o->resets++ < 2) {
			tunnel_link_reset(o->link);
		}
		break;
	case 3:
		r = tunnel_link_eof(o->link, ch);
		break;
	case 4:
		r = tunnel_link_send_gap(o->link, ch, draw(o, 100));
		break;
	case 5:
		r = tunnel_link_ctl(o->link, ch, &ctl);
		break;
	case 6:
		r = tunnel_link_accept(o->link, ch, draw(o, 100), draw(o, 1000), 3);
		o->channels[ch].granted |= r == 0;
		break;
	case 7:
		tunnel_link_output_sent(
			o->link, draw(o, (uint32_t)buf_len(tunnel_link_output(o->link)) + 1));
		break;
	case 8:
	case 9:
	case 10:
		r = tunnel_link_credit(o->link, ch,
				       tunnel_link_rx_offset(o->link, ch) + draw(o, 70000));
		break;
	case 11:
	case 12: {
		size_t room = tunnel_link_room(o->link, ch);
		size_t len = draw(o, sizeof(bytes));
		ssize_t n = tunnel_link_send(o->link, ch, bytes, len);

		must(n < 0 || (size_t)n == MIN(len, room));
		break;
	}
	case 13: {
		size_t room = tunnel_link_room(o->link, ch);
		size_t len = draw(o, sizeof(bytes));
		ssize_t n = tunnel_link_send_screen(o->link, ch, bytes, len, draw(o, 2));

		must(n < 0 || (size_t)n == MIN(len, room));
		break;
	}
	default:
		break;
	}
	(void)r; /* most are not in order just now: that must do no harm */
}

static void on_up(struct tunnel_link *l, void *user)
{
	struct owner *o = user;

	for (unsigned i = 0; i <= TUNNEL_CHANNEL_LAST; i++) {
		must(!o->channels[i].known);
	}
	act(o, 1);
}

static void on_open(struct tunnel_link *l, uint16_t ch, const char *service, uint8_t mode,
		    uint64_t from, void *user)
{
	struct owner *o = user;

	must(ch >= 1 && ch <= TUNNEL_CHANNEL_LAST && !o->channels[ch].known);
	must(strlen(service) <= TUNNEL_SERVICE_MAX);
	memset(&o->channels[ch], 0, sizeof(o->channels[ch]));
	o->channels[ch].known = true;
	if (draw(o, 4)) {
		o->channels[ch].granted = tunnel_link_accept(l, ch, 0, draw(o, 1000), mode) == 0;
	} else if (draw(o, 2)) {
		o->channels[ch].known = tunnel_link_refuse(l, ch, "conflict") != 0;
	}
}

static void on_opened(struct tunnel_link *l, uint16_t ch, uint64_t start, uint8_t mode, void *user)
{
	struct owner *o = user;

	must(o->channels[ch].known && !o->channels[ch].granted && mode <= 3);
	o->channels[ch].granted = true;
	o->channels[ch].expected = start;
	act(o, ch);
}

static void on_data(struct tunnel_link *l, uint16_t ch, uint64_t offset, const uint8_t *p,
		    size_t len, void *user)
{
	struct owner *o = user;
	uint8_t sum = 0;

	must(o->channels[ch].known && o->channels[ch].granted && !o->channels[ch].eof);
	must(len > 0 && offset == o->channels[ch].expected);
	must(offset + len <= tunnel_link_rx_limit(l, ch));
	o->channels[ch].expected += len;
	must(tunnel_link_rx_offset(l, ch) == o->channels[ch].expected);
	act(o, ch);
	for (size_t i = 0; i < len; i++) {
		sum ^= p[i]; /* still readable, whatever act() did */
	}
	__asm__ volatile("" ::"r"(sum));
}

static void on_screen(struct tunnel_link *l, uint16_t ch, const uint8_t *p, size_t len, bool last,
		      void *user)
{
	struct owner *o = user;

	must(o->channels[ch].known && o->channels[ch].granted && !o->channels[ch].eof);
	o->channels[ch].screen += len;
	must(len > 0 && o->channels[ch].screen <= TUNNEL_SCREEN_MAX);
	act(o, ch);
}

static void on_gap(struct tunnel_link *l, uint16_t ch, uint64_t offset, uint64_t length, void *user)
{
	struct owner *o = user;

	must(o->channels[ch].known && o->channels[ch].granted && !o->channels[ch].eof);
	must(offset == o->channels[ch].expected && length <= UINT64_MAX - offset);
	o->channels[ch].expected += length;
	act(o, ch);
}

static void on_writable(struct tunnel_link *l, uint16_t ch, void *user)
{
	struct owner *o = user;

	must(o->channels[ch].known && o->channels[ch].granted);
	act(o, ch);
}

static void on_eof(struct tunnel_link *l, uint16_t ch, void *user)
{
	struct owner *o = user;

	must(o->channels[ch].known && o->channels[ch].granted && !o->channels[ch].eof);
	o->channels[ch].eof = true;
	act(o, ch);
}

static void on_ctl(struct tunnel_link *l, uint16_t ch, const struct tunnel_ctl *ctl, void *user)
{
	struct owner *o = user;

	must(o->channels[ch].known && o->channels[ch].granted);
	must(ctl->op >= TUNNEL_CTL_BREAK && ctl->op < _TUNNEL_CTL_MAX);
	act(o, ch);
}

static void on_closed(struct tunnel_link *l, uint16_t ch, const char *reason, void *user)
{
	struct owner *o = user;

	must(o->channels[ch].known && strlen(reason) < 64);
	o->channels[ch].known = false;
	act(o, ch);
	must(!o->channels[ch].known);
}

static const struct tunnel_link_ops ops = {
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

/* The HELLO that brings `l` up: the answer to the nonce of its own. */
static void say_hello(struct tunnel_link *l, enum tunnel_role role)
{
	struct buf *out = tunnel_link_output(l);
	struct tunnel_frame f;
	struct buf hello;
	size_t used;

	must(tunnel_decode(buf_data(out), buf_len(out), &f, &used) == 1);
	must(f.type == TUNNEL_HELLO && f.hello.role == role);
	f.hello.role = role == TUNNEL_DIALER ? TUNNEL_LISTENER : TUNNEL_DIALER;
	f.hello.echo = f.hello.nonce;
	f.hello.nonce = 1;
	buf_init(&hello, TUNNEL_HELLO_BYTES);
	must(tunnel_encode(&hello, &f) == 0);
	must(tunnel_link_input(l, buf_data(&hello), buf_len(&hello)) == 0);
	buf_fini(&hello);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct owner *o = calloc(1, sizeof(*o));
	enum tunnel_role role;
	size_t piece;
	int r = 0;

	must(o);
	if (size < 4) {
		free(o);
		return 0;
	}
	role = data[0] & 1 ? TUNNEL_DIALER : TUNNEL_LISTENER;
	piece = data[1] ? data[1] : SIZE_MAX;
	o->state = (uint32_t)data[2] << 8 | data[3];
	must(tunnel_link_new(role, &ops, o, 0, &o->link) == 0);
	if (data[0] & 2) {
		tunnel_link_set_portlike(o->link);
	}
	say_hello(o->link, role);
	for (size_t at = 4; at < size && r == 0;) {
		size_t len = MIN(piece, size - at);
		/* A copy of its own, so that the sanitizer sees a read beyond it. */
		uint8_t *copy = malloc(len);

		must(copy);
		memcpy(copy, data + at, len);
		r = tunnel_link_input(o->link, copy, len);
		free(copy);
		at += len;
		must(buf_len(tunnel_link_output(o->link)) <= 256 * 1024);
		must(r == 0 || !(data[0] & 2));
		tunnel_link_output_sent(
			o->link, draw(o, (uint32_t)buf_len(tunnel_link_output(o->link)) + 1));
	}
	tunnel_link_free(o->link);
	free(o);
	return 0;
}
