/* SPDX-License-Identifier: Apache-2.0 */
/* Two ends of a tunnel, joined by a pipe that cuts bytes anywhere: every byte once, in order,
 * within its credit. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"
#include "tunnel_link.h"

/* What an end did, as text: the tests compare transcripts. */
struct end {
	struct tunnel_link *link;
	char log[8192];
	bool accepts; /* opens are granted from offset 0 with a window of 1000 */
};

static void note(struct end *e, const char *fmt, ...) _printf_(2, 3);

static void note(struct end *e, const char *fmt, ...)
{
	size_t len = strlen(e->log);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(e->log + len, sizeof(e->log) - len, fmt, ap);
	va_end(ap);
}

static void on_up(struct tunnel_link *l, void *user)
{
	note(user, "up ");
}

static void on_open(struct tunnel_link *l, uint16_t ch, const char *service, uint8_t mode,
		    uint64_t from, void *user)
{
	struct end *e = user;

	note(e, "open(%u,%s,%u,%lld) ", ch, service, mode, (long long)from);
	if (e->accepts) {
		assert_int_equal(tunnel_link_accept(l, ch, 0, 1000, mode), 0);
	}
}

static void on_opened(struct tunnel_link *l, uint16_t ch, uint64_t start, uint8_t mode, void *user)
{
	note(user, "opened(%u,%llu,%u) ", ch, (unsigned long long)start, mode);
}

static void on_data(struct tunnel_link *l, uint16_t ch, uint64_t offset, const uint8_t *p,
		    size_t len, void *user)
{
	note(user, "data(%u,%llu,%.*s) ", ch, (unsigned long long)offset, (int)MIN(len, (size_t)40),
	     (const char *)p);
}

static void on_screen(struct tunnel_link *l, uint16_t ch, const uint8_t *p, size_t len, bool last,
		      void *user)
{
	note(user, "screen(%u,%.*s%s) ", ch, (int)MIN(len, (size_t)40), (const char *)p,
	     last ? ",last" : "");
}

static void on_gap(struct tunnel_link *l, uint16_t ch, uint64_t offset, uint64_t length, void *user)
{
	note(user, "gap(%u,%llu,%llu) ", ch, (unsigned long long)offset,
	     (unsigned long long)length);
}

static void on_writable(struct tunnel_link *l, uint16_t ch, void *user)
{
	note(user, "writable(%u) ", ch);
}

static void on_eof(struct tunnel_link *l, uint16_t ch, void *user)
{
	note(user, "eof(%u) ", ch);
}

static void on_ctl(struct tunnel_link *l, uint16_t ch, const struct tunnel_ctl *ctl, void *user)
{
	note(user, "ctl(%u,%u,%u,%u,%d) ", ch, ctl->op, ctl->rows, ctl->columns, ctl->on);
}

static void on_closed(struct tunnel_link *l, uint16_t ch, const char *reason, void *user)
{
	note(user, "closed(%u,%s) ", ch, reason);
	/* The owner may look, but no longer act. */
	assert_int_equal(tunnel_link_send(l, ch, "x", 1), -ENOENT);
	assert_int_equal(tunnel_link_close(l, ch, ""), -ENOENT);
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

static struct end dialer, listener;

static void end_start(struct end *e, enum tunnel_role role)
{
	*e = (struct end){ .accepts = true };
	assert_int_equal(tunnel_link_new(role, &ops, e, 0, &e->link), 0);
}

static int start_both(void **state)
{
	end_start(&dialer, TUNNEL_DIALER);
	end_start(&listener, TUNNEL_LISTENER);
	return 0;
}

static int stop_both(void **state)
{
	dialer.link = tunnel_link_free(dialer.link);
	listener.link = tunnel_link_free(listener.link);
	return 0;
}

/* Moves at most `max` bytes of output into the other end. */
static size_t carry(struct end *from, struct end *to, size_t max)
{
	struct buf *out = tunnel_link_output(from->link);
	size_t len = MIN(buf_len(out), max);

	if (len > 0) {
		uint8_t *copy = malloc(len);

		assert_non_null(copy);
		memcpy(copy, buf_data(out), len);
		tunnel_link_output_sent(from->link, len);
		assert_int_equal(tunnel_link_input(to->link, copy, len), 0);
		free(copy);
	}
	return len;
}

static void settle(size_t max)
{
	while (carry(&dialer, &listener, max) + carry(&listener, &dialer, max) > 0) {
	}
}

#define expect(end, text)                                                                          \
	do {                                                                                       \
		assert_string_equal((end).log, text);                                              \
		(end).log[0] = '\0';                                                               \
	} while (0)

/* A raw frame from the listener, which its link would not send. */
static int forge(const struct tunnel_frame *frame)
{
	struct buf b;
	int r;

	buf_init(&b, 2 * TUNNEL_PAYLOAD_MAX);
	assert_int_equal(tunnel_encode(&b, frame), 0);
	r = tunnel_link_input(dialer.link, buf_data(&b), buf_len(&b));
	buf_fini(&b);
	return r;
}

static void screen_before_the_stream(void **state)
{
	uint16_t ch;

	settle(100);
	dialer.log[0] = listener.log[0] = '\0';
	listener.accepts = false;
	assert_int_equal(tunnel_link_open(dialer.link, "console", 1, TUNNEL_FROM_SCREEN, 10, &ch),
			 0);
	settle(100);
	expect(listener, "open(1,console,1,-3) ");
	assert_int_equal(tunnel_link_accept(listener.link, ch, 100, 0, 1), 0);
	assert_int_equal(tunnel_link_send_screen(listener.link, ch, "screenfuls", 10, false), 10);
	/* credit counts it, offsets do not */
	assert_int_equal(tunnel_link_room(listener.link, ch), 0);
	assert_int_equal(tunnel_link_send_screen(listener.link, ch, "x", 1, true), 0);
	settle(7);
	expect(dialer, "opened(1,100,1) screen(1,screenfuls) ");
	assert_int_equal(tunnel_link_rx_offset(dialer.link, ch), 100);
	assert_int_equal(tunnel_link_rx_limit(dialer.link, ch), 100);
	assert_int_equal(tunnel_link_tx_limit(listener.link, ch), 100);
	assert_int_equal(tunnel_link_credit(dialer.link, ch, 108), 0);
	settle(7);
	expect(listener, "writable(1) ");
	assert_int_equal(tunnel_link_send_screen(listener.link, ch, "end", 3, true), 3);
	assert_int_equal(tunnel_link_send_screen(listener.link, ch, "more", 4, true), -EINVAL);
	assert_int_equal(tunnel_link_send(listener.link, ch, "livebytes", 9), 5);
	settle(7);
	expect(dialer, "screen(1,end,last) data(1,100,liveb) ");
	assert_int_equal(tunnel_link_rx_offset(dialer.link, ch), 105);
}

/* Where it was not asked for, after the stream has begun, beyond the credit, after its end. */
static void screen_out_of_place(void **state)
{
	static const uint8_t bytes[20];
	const struct tunnel_frame screen = { .type = TUNNEL_SCREEN,
					     .channel = 1,
					     .screen = { true, bytes, 4 } };
	const struct tunnel_frame large = { .type = TUNNEL_SCREEN,
					    .channel = 1,
					    .screen = { true, bytes, 11 } };

	for (unsigned i = 0; i < 4; i++) {
		uint16_t ch;

		if (i > 0) {
			stop_both(state);
			start_both(state);
		}
		settle(100);
		assert_int_equal(tunnel_link_open(dialer.link, "console", 1,
						  i == 0 ? TUNNEL_FROM_KEPT : TUNNEL_FROM_SCREEN,
						  10, &ch),
				 0);
		settle(100);
		if (i == 1) {
			assert_int_equal(tunnel_link_send(listener.link, ch, "x", 1), 1);
			assert_int_equal(tunnel_link_send_screen(listener.link, ch, "x", 1, true),
					 -EINVAL);
			settle(100);
		} else if (i == 2) {
			assert_int_equal(forge(&large), -EPROTO);
			continue;
		} else if (i == 3) {
			assert_int_equal(forge(&screen), 0);
		}
		assert_int_equal(forge(&screen), -EPROTO);
	}
}

static void a_channel_from_open_to_close(void **state)
{
	uint16_t ch;

	assert_int_equal(tunnel_link_open(dialer.link, "ssh", 3, 0, 500, &ch), -ENOTCONN);
	settle(1);
	expect(dialer, "up ");
	expect(listener, "up ");
	assert_int_equal(tunnel_link_open(dialer.link, "ssh", 3, 7, 500, &ch), 0);
	assert_int_equal(ch, 1);
	assert_int_equal(tunnel_link_send(dialer.link, ch, "early", 5), -EINVAL);
	settle(1);
	expect(listener, "open(1,ssh,3,7) ");
	expect(dialer, "opened(1,0,3) ");
	assert_int_equal(tunnel_link_room(dialer.link, ch), 1000);
	assert_int_equal(tunnel_link_room(listener.link, ch), 500);
	assert_int_equal(tunnel_link_send(dialer.link, ch, "hello", 5), 5);
	assert_int_equal(tunnel_link_send(listener.link, ch, "world", 5), 5);
	assert_int_equal(tunnel_link_send_gap(listener.link, ch, 600), 0);
	settle(3);
	expect(listener, "data(1,0,hello) ");
	expect(dialer, "data(1,0,world) gap(1,5,600) ");
	assert_int_equal(tunnel_link_tx_offset(listener.link, ch), 605);
	assert_int_equal(tunnel_link_rx_offset(dialer.link, ch), 605);
	assert_int_equal(tunnel_link_rx_limit(dialer.link, ch), 500);
	assert_int_equal(tunnel_link_send(listener.link, ch, "x", 1), 0);
	assert_int_equal(tunnel_link_credit(dialer.link, ch, 400), 0);
	assert_int_equal(tunnel_link_credit(dialer.link, ch, 607), 0);
	settle(3);
	expect(listener, "writable(1) ");
	assert_int_equal(tunnel_link_send(listener.link, ch, "abc", 3), 2);
	assert_int_equal(tunnel_link_ctl(dialer.link, ch,
					 &(struct tunnel_ctl){ .op = TUNNEL_CTL_WINSIZE,
							       .rows = 25,
							       .columns = 80 }),
			 0);
	assert_int_equal(tunnel_link_eof(dialer.link, ch), 0);
	assert_int_equal(tunnel_link_send(dialer.link, ch, "x", 1), -EPIPE);
	settle(3);
	expect(dialer, "data(1,605,ab) ");
	expect(listener, "ctl(1,2,25,80,0) eof(1) ");
	assert_int_equal(tunnel_link_close(listener.link, ch, "vm-gone"), 0);
	assert_int_equal(tunnel_link_close(listener.link, ch, ""), -ENOENT);
	settle(3);
	expect(dialer, "closed(1,vm-gone) ");
	expect(listener, "");
}

/* A peer that takes `max` bytes at once. */
struct taker {
	struct end *to;
	size_t max;
};

static size_t take(const void *head, size_t head_len, const void *p, size_t len, void *user)
{
	struct taker *t = user;
	size_t n = MIN(t->max, head_len + len);
	uint8_t *both = malloc(head_len + len);

	assert_non_null(both);
	memcpy(both, head, head_len);
	memcpy(both + head_len, p, len);
	assert_int_equal(tunnel_link_input(t->to->link, both, n), 0);
	free(both);
	return n;
}

static void sent_past_the_output(void **state)
{
	struct taker none = { &listener, 0 }, all = { &listener, 1000 };
	uint16_t ch;

	settle(SIZE_MAX);
	assert_int_equal(tunnel_link_open(dialer.link, "ssh", 3, 0, 500, &ch), 0);
	settle(SIZE_MAX);
	dialer.log[0] = listener.log[0] = '\0';
	assert_int_equal(tunnel_link_send_now(dialer.link, ch, "hello", 5, take, &none), 0);
	assert_int_equal(tunnel_link_send_now(dialer.link, ch, "hello", 5, take, &all), 5);
	expect(listener, "data(1,0,hello) ");
	assert_int_equal(buf_len(tunnel_link_output(dialer.link)), 0);
	/* Cut at every place, the frame is whole in the end. */
	for (size_t max = 1; max < TUNNEL_DATA_HEAD_BYTES + 5; max++) {
		struct taker part = { &listener, max };

		assert_int_equal(tunnel_link_send_now(dialer.link, ch, "world", 5, take, &part), 5);
		assert_int_equal(buf_len(tunnel_link_output(dialer.link)),
				 TUNNEL_DATA_HEAD_BYTES + 5 - max);
		/* Not past what waits. */
		assert_int_equal(tunnel_link_send_now(dialer.link, ch, "x", 1, take, &all), 0);
		settle(3);
		assert_non_null(strstr(listener.log, "world) "));
		listener.log[0] = '\0';
	}
	all.max = 3;
	assert_int_equal(tunnel_link_send_now(dialer.link, ch, "again", 5, take, &all), 5);
	listener.log[0] = '\0';
	settle(1);
	expect(listener, "data(1,105,again) ");
	/* Within credit, and not behind the end. */
	assert_int_equal(tunnel_link_room(dialer.link, ch), 890);
	all.max = SIZE_MAX;
	{
		char much[2000] = "";

		assert_int_equal(
			tunnel_link_send_now(dialer.link, ch, much, sizeof(much), take, &all), 890);
		assert_int_equal(tunnel_link_send_now(dialer.link, ch, much, 1, take, &all), 0);
	}
	assert_int_equal(tunnel_link_eof(dialer.link, ch), 0);
	assert_int_equal(tunnel_link_send_now(dialer.link, ch, "x", 1, take, &all), -EPIPE);
	assert_int_equal(tunnel_link_send_now(dialer.link, 3, "x", 1, take, &all), -ENOENT);
}

static uint16_t open_settled(struct end *by, uint64_t window)
{
	uint16_t ch;

	assert_int_equal(tunnel_link_open(by->link, "x", 3, 0, window, &ch), 0);
	settle(SIZE_MAX);
	dialer.log[0] = listener.log[0] = '\0';
	return ch;
}

static void up_both(void)
{
	settle(SIZE_MAX);
	expect(dialer, "up ");
	expect(listener, "up ");
}

static void a_refused_channel_is_free_at_once(void **state)
{
	uint16_t ch;

	up_both();
	dialer.accepts = false;
	assert_int_equal(tunnel_link_open(listener.link, "verb", 3, 0, 500, &ch), 0);
	assert_int_equal(ch, 2);
	settle(SIZE_MAX);
	expect(dialer, "open(2,verb,3,0) ");
	assert_int_equal(tunnel_link_send(dialer.link, 2, "x", 1), -EINVAL);
	assert_int_equal(tunnel_link_refuse(dialer.link, 2, "No Such"), -EINVAL);
	assert_int_equal(tunnel_link_refuse(dialer.link, 2, "not-found"), 0);
	assert_int_equal(tunnel_link_refuse(dialer.link, 2, "not-found"), -ENOENT);
	assert_int_equal(tunnel_link_accept(dialer.link, 2, 0, 0, 3), -ENOENT);
	settle(SIZE_MAX);
	expect(listener, "closed(2,not-found) ");
	assert_int_equal(tunnel_link_close(listener.link, 2, ""), -ENOENT);
}

static void closing_an_unanswered_open(void **state)
{
	uint16_t ch;

	up_both();
	/* The opener gives up before the answer; CLOSE and REFUSED cross. */
	dialer.accepts = false;
	assert_int_equal(tunnel_link_open(listener.link, "verb", 3, 0, 500, &ch), 0);
	carry(&listener, &dialer, SIZE_MAX);
	assert_int_equal(tunnel_link_close(listener.link, ch, ""), 0);
	assert_int_equal(tunnel_link_refuse(dialer.link, ch, "not-found"), 0);
	settle(1);
	expect(listener, "");
	expect(dialer, "open(2,verb,3,0) ");

	/* CLOSE and OPENED cross: what the acceptor sent meanwhile is discarded. */
	assert_int_equal(tunnel_link_open(listener.link, "verb", 3, 0, 500, &ch), 0);
	assert_int_equal(ch, 4);
	carry(&listener, &dialer, SIZE_MAX);
	assert_int_equal(tunnel_link_close(listener.link, ch, "timeout"), 0);
	assert_int_equal(tunnel_link_accept(dialer.link, ch, 7, 0, 3), 0);
	assert_int_equal(tunnel_link_send(dialer.link, ch, "abc", 3), 3);
	assert_int_equal(tunnel_link_send_gap(dialer.link, ch, 0), 0);
	assert_int_equal(tunnel_link_eof(dialer.link, ch), 0);
	settle(1);
	expect(listener, "");
	expect(dialer, "open(4,verb,3,0) closed(4,timeout) ");

	/* The acceptor closes instead of answering: that is a refusal. */
	assert_int_equal(tunnel_link_open(listener.link, "verb", 3, 0, 500, &ch), 0);
	carry(&listener, &dialer, SIZE_MAX);
	assert_int_equal(tunnel_link_close(dialer.link, ch, ""), 0);
	settle(1);
	expect(listener, "closed(6,cancelled) ");
}

static void both_close_at_once(void **state)
{
	uint16_t ch;

	up_both();
	ch = open_settled(&dialer, 10);
	assert_int_equal(tunnel_link_close(dialer.link, ch, "vm-gone"), 0);
	assert_int_equal(tunnel_link_close(listener.link, ch, "timeout"), 0);
	settle(1);
	expect(dialer, "");
	expect(listener, "");
}

static void all_numbers_can_be_open_and_come_back(void **state)
{
	uint16_t ch;

	up_both();
	for (int i = 0; i < TUNNEL_CHANNELS_MAX; i++) {
		assert_int_equal(tunnel_link_open(dialer.link, "x", 1, 0, 0, &ch), 0);
		assert_int_equal(ch, 2 * i + 1);
		assert_int_equal(tunnel_link_open(listener.link, "x", 1, 0, 0, &ch), 0);
		assert_int_equal(ch, 2 * i + 2);
		dialer.log[0] = listener.log[0] = '\0';
	}
	assert_int_equal(tunnel_link_open(dialer.link, "x", 1, 0, 0, &ch), -ENOSPC);
	assert_int_equal(tunnel_link_close(dialer.link, 101, ""), 0);
	/* Not free before the other side has closed too. */
	assert_int_equal(tunnel_link_open(dialer.link, "x", 1, 0, 0, &ch), -ENOSPC);
	settle(SIZE_MAX);
	assert_int_equal(tunnel_link_open(dialer.link, "x", 1, 0, 0, &ch), 0);
	assert_int_equal(ch, 101);
}

static void full_output_stops_data_only(void **state)
{
	static char big[1 << 20];
	size_t sent, room;
	uint16_t a, b;

	up_both();
	a = open_settled(&listener, 0);
	b = open_settled(&listener, 0);
	assert_int_equal(tunnel_link_credit(listener.link, a, UINT64_MAX), 0);
	assert_int_equal(tunnel_link_credit(listener.link, b, 1 << 20), 0);
	settle(SIZE_MAX);
	expect(dialer, "writable(2) writable(4) ");
	room = tunnel_link_room(dialer.link, a);
	sent = (size_t)tunnel_link_send(dialer.link, a, big, sizeof(big));
	assert_int_equal(sent, room);
	assert_in_range(sent, 190 * 1024, 192 * 1024);
	assert_int_equal(tunnel_link_room(dialer.link, b), 0);
	assert_int_equal(tunnel_link_send(dialer.link, b, big, 1), 0);
	assert_int_equal(
		tunnel_link_ctl(dialer.link, b, &(struct tunnel_ctl){ .op = TUNNEL_CTL_TAKE }), 0);
	assert_int_equal(tunnel_link_eof(dialer.link, b), 0);
	expect(dialer, "");
	/* Nothing until half of it is gone, then those that waited, each once. */
	tunnel_link_output_sent(dialer.link, 90 * 1024);
	expect(dialer, "");
	tunnel_link_output_sent(dialer.link, 8 * 1024);
	expect(dialer, "writable(2) writable(4) ");
	tunnel_link_output_sent(dialer.link, 8 * 1024);
	expect(dialer, "");
}

static void a_peer_that_only_asks_is_dropped(void **state)
{
	const struct tunnel_frame ping = { .type = TUNNEL_PING };
	struct buf pings;
	int r = 0;

	up_both();
	buf_init(&pings, 1 << 20);
	assert_int_equal(tunnel_encode(&pings, &ping), 0);
	for (int i = 0; r == 0 && i < 100000; i++) {
		r = tunnel_link_input(dialer.link, buf_data(&pings), buf_len(&pings));
	}
	assert_int_equal(r, -ENOBUFS);
	assert_int_equal(tunnel_link_input(dialer.link, buf_data(&pings), buf_len(&pings)),
			 -EPROTO);
	buf_fini(&pings);
}

/* One frame of a channel into the listener, where the dialer's end is not asked. */
static int feed(struct end *e, const struct tunnel_frame *f)
{
	struct buf b;
	int r;

	buf_init(&b, 1 << 20);
	assert_int_equal(tunnel_encode(&b, f), 0);
	r = tunnel_link_input(e->link, buf_data(&b), buf_len(&b));
	buf_fini(&b);
	return r;
}

static void what_the_peer_must_not_do(void **state)
{
	static const uint8_t bytes[2000];
	/* With channel 1 open at the listener, its window 1000, and channel 2 asked for by the
	 * listener. */
	const struct tunnel_frame frames[] = {
		{ .type = TUNNEL_HELLO, .hello = { 1, TUNNEL_LISTENER, 1, 0 } },
		{ .type = TUNNEL_OPEN, .channel = 1, .open = { 0, 0, 1, "again" } },
		{ .type = TUNNEL_OPEN, .channel = 4, .open = { 0, 0, 1, "not-yours" } },
		{ .type = TUNNEL_OPEN, .channel = 513, .open = { 0, 0, 1, "too-high" } },
		{ .type = TUNNEL_OPENED, .channel = 1, .opened = { 0, 0, 1 } },
		{ .type = TUNNEL_OPENED,
		  .channel = 2,
		  .opened = { 0, 0, 3 } }, /* more than asked */
		{ .type = TUNNEL_OPENED, .channel = 65535, .opened = { 0, 0, 1 } },
		{ .type = TUNNEL_REFUSED, .channel = 1 },
		{ .type = TUNNEL_DATA, .channel = 1, .data = { 0, bytes, 1001 } },
		{ .type = TUNNEL_DATA, .channel = 1, .data = { 1, bytes, 1 } },
		{ .type = TUNNEL_DATA, .channel = 2, .data = { 0, bytes, 1 } },
		{ .type = TUNNEL_DATA, .channel = 3, .data = { 0, bytes, 1 } },
		{ .type = TUNNEL_GAP, .channel = 1, .gap = { 1, 1 } },
		{ .type = TUNNEL_GAP, .channel = 3, .gap = { 0, 1 } },
		{ .type = TUNNEL_CREDIT, .channel = 2, .value = 1 },
		{ .type = TUNNEL_CREDIT, .channel = 3, .value = 1 },
		{ .type = TUNNEL_EOF, .channel = 1, .value = 1 },
		{ .type = TUNNEL_EOF, .channel = 2, .value = 0 },
		{ .type = TUNNEL_CTL, .channel = 2, .ctl = { .op = TUNNEL_CTL_TAKE } },
		{ .type = TUNNEL_CLOSE, .channel = 2 }, /* no answer at all */
		{ .type = TUNNEL_CLOSE, .channel = 4 },
	};
	uint16_t ch;

	for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
		stop_both(NULL);
		start_both(NULL);
		up_both();
		open_settled(&dialer, 10);
		assert_int_equal(tunnel_link_open(listener.link, "x", 1, 0, 0, &ch), 0);
		if (feed(&listener, &frames[i]) != -EPROTO) {
			fail_msg("taken: frame %zu", i);
		}
		expect(listener, "");
	}
}

static void offsets_do_not_wrap(void **state)
{
	static const uint8_t byte = 1;
	struct tunnel_frame f = { .type = TUNNEL_GAP, .channel = 1, .gap = { 0, UINT64_MAX } };

	up_both();
	open_settled(&dialer, 10);
	assert_int_equal(tunnel_link_credit(listener.link, 1, UINT64_MAX), 0);
	assert_int_equal(feed(&listener, &f), 0);
	expect(listener, "gap(1,0,18446744073709551615) ");
	f.gap.offset = UINT64_MAX;
	f.gap.length = 0;
	assert_int_equal(feed(&listener, &f), 0);
	f = (struct tunnel_frame){ .type = TUNNEL_DATA,
				   .channel = 1,
				   .data = { UINT64_MAX, &byte, 1 } };
	assert_int_equal(feed(&listener, &f), -EPROTO);
	assert_int_equal(tunnel_link_send_gap(dialer.link, 1, UINT64_MAX), 0);
	assert_int_equal(tunnel_link_send_gap(dialer.link, 1, 1), -EINVAL);
	assert_int_equal(tunnel_link_send_gap(dialer.link, 1, 0), 0);
}

static void unknown_ctl_and_stale_close_are_ignored(void **state)
{
	static const uint8_t ctl[] = { TUNNEL_CTL, 0, 0, 1, 0, 0, 0, 2, 99, 1 };

	up_both();
	open_settled(&dialer, 10);
	assert_int_equal(tunnel_link_input(listener.link, ctl, sizeof(ctl)), 0);
	assert_int_equal(
		feed(&listener, &(struct tunnel_frame){ .type = TUNNEL_CLOSE, .channel = 77 }), 0);
	assert_int_equal(feed(&listener, &(struct tunnel_frame){ .type = TUNNEL_PONG }), 0);
	expect(listener, "");
}

static void a_new_listener_makes_the_dialer_start_anew(void **state)
{
	up_both();
	tunnel_link_set_portlike(dialer.link);
	open_settled(&dialer, 10);
	/* The listener's program dies; another takes its place. */
	tunnel_link_free(listener.link);
	end_start(&listener, TUNNEL_LISTENER);
	settle(1);
	expect(dialer, "closed(1,relay-lost) up ");
	expect(listener, "up ");
	open_settled(&dialer, 10);
}

static void a_new_dialer_makes_the_listener_start_anew(void **state)
{
	up_both();
	tunnel_link_set_portlike(listener.link);
	open_settled(&dialer, 10);
	open_settled(&listener, 10);
	tunnel_link_free(dialer.link);
	end_start(&dialer, TUNNEL_DIALER);
	settle(1);
	expect(listener, "closed(1,relay-lost) closed(2,relay-lost) up ");
	expect(dialer, "up ");
	open_settled(&listener, 10);
}

static void a_dialer_that_died_within_a_frame(void **state)
{
	char big[900] = "";

	up_both();
	tunnel_link_set_portlike(listener.link);
	open_settled(&dialer, 10);
	assert_int_equal(tunnel_link_send(dialer.link, 1, big, sizeof(big)), sizeof(big));
	carry(&dialer, &listener, 100);
	tunnel_link_free(dialer.link);
	end_start(&dialer, TUNNEL_DIALER);
	settle(SIZE_MAX);
	expect(dialer, ""); /* its HELLO is in the listener's unfinished frame */
	tunnel_link_reset(dialer.link);
	settle(1000);
	expect(dialer, "up ");
	assert_non_null(strstr(listener.log, "closed(1,relay-lost) up "));
	open_settled(&dialer, 10);
}

static void noise_on_a_port_is_survived(void **state)
{
	uint8_t noise[100] = { 0 };

	up_both();
	tunnel_link_set_portlike(dialer.link);
	tunnel_link_set_portlike(listener.link);
	for (unsigned i = 0; i < 500; i++) {
		uint16_t ch = open_settled(&dialer, 10);

		/* The rest of what was on its way when it was cut, then noise. */
		assert_int_equal(tunnel_link_send(dialer.link, ch, noise, 50), 50);
		carry(&dialer, &listener, i % 70);
		memset(noise, (int)(i % 256), sizeof(noise));
		assert_int_equal(tunnel_link_input(i % 2 ? dialer.link : listener.link, noise,
						   sizeof(noise)),
				 0);
		settle(i % 100 + 1);
		if (!tunnel_link_is_up(dialer.link) || !tunnel_link_is_up(listener.link) ||
		    !strstr(dialer.log, "up")) {
			tunnel_link_reset(dialer.link); /* as its owner's timer does */
			settle(i % 100 + 1);
		}
		assert_true(tunnel_link_is_up(dialer.link));
		assert_true(tunnel_link_is_up(listener.link));
	}
}

static void reset_inside_closed(struct tunnel_link *l, uint16_t ch, const char *reason, void *user)
{
	note(user, "closed(%u,%s) ", ch, reason);
	tunnel_link_reset(l);
}

static void close_inside_data(struct tunnel_link *l, uint16_t ch, uint64_t offset, const uint8_t *p,
			      size_t len, void *user)
{
	note(user, "data(%u) ", ch);
	if (p[0] == 'r') {
		tunnel_link_reset(l);
		note(user, "reset(%c) ", p[0]);
	} else {
		assert_int_equal(tunnel_link_close(l, ch, ""), 0);
	}
}

static void callbacks_may_close_and_reset(void **state)
{
	struct tunnel_link_ops rude = ops;
	uint16_t ch;

	rude.closed = reset_inside_closed;
	rude.data = close_inside_data;
	tunnel_link_free(listener.link);
	assert_int_equal(tunnel_link_new(TUNNEL_LISTENER, &rude, &listener, 0, &listener.link), 0);
	up_both();
	tunnel_link_set_portlike(dialer.link);

	ch = open_settled(&dialer, 10);
	assert_int_equal(tunnel_link_send(dialer.link, ch, "ab", 1), 1);
	assert_int_equal(tunnel_link_send(dialer.link, ch, "b", 1), 1);
	settle(SIZE_MAX);
	expect(listener, "data(1) ");
	expect(dialer, "closed(1,) ");

	/* Reset inside data(), with the bytes whole and in pieces: the rest is not read. */
	for (size_t piece = 1; piece < 100; piece += 98) {
		ch = open_settled(&dialer, 10);
		open_settled(&listener, 10);
		assert_int_equal(tunnel_link_send(dialer.link, ch, "r", 1), 1);
		assert_int_equal(tunnel_link_send(dialer.link, ch, "s", 1), 1);
		settle(piece);
		assert_non_null(strstr(listener.log, "relay-lost) closed("));
		assert_non_null(strstr(listener.log, "reset(r) up "));
		assert_null(strstr(listener.log, "data(s)"));
		assert_true(tunnel_link_is_up(dialer.link));
		dialer.log[0] = listener.log[0] = '\0';
	}

	/* Reset inside closed() of one channel, while another is open. */
	ch = open_settled(&dialer, 10);
	open_settled(&dialer, 10);
	assert_int_equal(tunnel_link_close(dialer.link, ch, ""), 0);
	settle(SIZE_MAX);
	assert_true(tunnel_link_is_up(dialer.link));
	assert_true(tunnel_link_is_up(listener.link));
	assert_non_null(strstr(listener.log, ",) closed("));
}

static void owner_data_is_there_until_closed_returns(void **state)
{
	uint16_t ch;

	up_both();
	ch = open_settled(&dialer, 10);
	assert_null(tunnel_link_get_data(dialer.link, ch));
	tunnel_link_set_data(dialer.link, ch, &dialer);
	assert_ptr_equal(tunnel_link_get_data(dialer.link, ch), &dialer);
	assert_int_equal(tunnel_link_close(dialer.link, ch, ""), 0);
	assert_null(tunnel_link_get_data(dialer.link, ch));
	tunnel_link_set_data(dialer.link, 9999, &dialer);
	assert_null(tunnel_link_get_data(dialer.link, 9999));
	assert_int_equal(tunnel_link_rx_limit(dialer.link, 9999), 0);
}

static void start_and_window_count_from_the_acceptors_start(void **state)
{
	uint16_t ch;

	up_both();
	listener.accepts = false;
	assert_int_equal(tunnel_link_open(dialer.link, "console", 7, 100, 50, &ch), 0);
	settle(SIZE_MAX);
	assert_int_equal(tunnel_link_accept(listener.link, ch, 1000, 20, 0xff), 0);
	settle(SIZE_MAX);
	expect(dialer, "opened(1,1000,7) ");
	assert_int_equal(tunnel_link_rx_offset(dialer.link, ch), 1000);
	assert_int_equal(tunnel_link_rx_limit(dialer.link, ch), 1050);
	assert_int_equal(tunnel_link_tx_offset(listener.link, ch), 1000);
	assert_int_equal(tunnel_link_tx_limit(listener.link, ch), 1050);
	assert_int_equal(tunnel_link_tx_offset(dialer.link, ch), 0);
	assert_int_equal(tunnel_link_tx_limit(dialer.link, ch), 20);
	assert_int_equal(tunnel_link_rx_limit(listener.link, ch), 20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_both, stop_both)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_channel_from_open_to_close),
		TEST(sent_past_the_output),
		TEST(screen_before_the_stream),
		TEST(screen_out_of_place),
		TEST(a_refused_channel_is_free_at_once),
		TEST(closing_an_unanswered_open),
		TEST(both_close_at_once),
		TEST(all_numbers_can_be_open_and_come_back),
		TEST(full_output_stops_data_only),
		TEST(a_peer_that_only_asks_is_dropped),
		TEST(what_the_peer_must_not_do),
		TEST(offsets_do_not_wrap),
		TEST(unknown_ctl_and_stale_close_are_ignored),
		TEST(a_new_listener_makes_the_dialer_start_anew),
		TEST(a_new_dialer_makes_the_listener_start_anew),
		TEST(a_dialer_that_died_within_a_frame),
		TEST(noise_on_a_port_is_survived),
		TEST(callbacks_may_close_and_reset),
		TEST(owner_data_is_there_until_closed_returns),
		TEST(start_and_window_count_from_the_acceptors_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
