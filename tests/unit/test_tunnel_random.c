/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two ends of a tunnel under random use: channels opened, filled, closed, credits given, bytes cut
 * anywhere, programs dying.
 *
 * Each channel has an id in its service name, from which both ends compute what every byte at every
 * offset must be. A receiver checks each byte, that offsets go on without a hole, and that nothing
 * comes beyond its limit. At the end of each run all credit is given, and all that was sent must
 * have come.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"
#include "test.h"
#include "tunnel_link.h"

#define CHANNELS 24 /* of one end's opening, at once */
#define OUTPUT_MAX (256 * 1024)

struct use {
	uint32_t id; /* 0: not in use */
	bool opener, granted, rx_eof, tx_eof;
	uint64_t rx_expected, rx_limit;
	struct end *end;
};

struct end {
	struct tunnel_link *link;
	struct end *other;
	struct use uses[TUNNEL_CHANNEL_LAST + 1];
	struct buf wire; /* on its way to the other end */
	unsigned opened, data_seen, closed;
};

static struct end ends[2];
static uint32_t last_id;
/* What every channel has sent and received, each way: [id][opener's way or not]. */
static uint64_t sent[4096][2], received[4096][2];
static bool ended[4096];

static uint32_t draw(uint32_t below)
{
	return (uint32_t)random() % below;
}

static uint8_t byte_at(uint32_t id, bool opener, uint64_t offset)
{
	uint64_t x = (offset + id) * 0x9e3779b97f4a7c15 + opener;

	return (uint8_t)(x >> 32);
}

static struct use *use_of(struct end *e, uint16_t ch)
{
	return &e->uses[ch];
}

static void on_up(struct tunnel_link *l, void *user)
{
	struct end *e = user;

	for (unsigned i = 0; i <= TUNNEL_CHANNEL_LAST; i++) {
		assert_int_equal(e->uses[i].id, 0);
	}
}

static void grant(struct end *e, uint16_t ch)
{
	struct use *u = use_of(e, ch);
	uint64_t start = draw(100000), limit = draw(5000);

	assert_int_equal(tunnel_link_accept(e->link, ch, start, limit, 3), 0);
	u->granted = true;
	u->rx_limit = limit;
	sent[u->id][0] = received[u->id][0] = start;
}

static void on_open(struct tunnel_link *l, uint16_t ch, const char *service, uint8_t mode,
		    uint64_t from, void *user)
{
	struct end *e = user;
	uint32_t id;

	assert_int_equal(parse_u32(service, &id), 0);
	*use_of(e, ch) = (struct use){ .id = id, .end = e };
	if (draw(3) == 0) {
		grant(e, ch);
	} else if (draw(4) == 0) {
		ended[id] = true;
		e->uses[ch].id = 0;
		assert_int_equal(tunnel_link_refuse(l, ch, "conflict"), 0);
	}
}

static void on_opened(struct tunnel_link *l, uint16_t ch, uint64_t start, uint8_t mode, void *user)
{
	struct use *u = use_of(user, ch);

	assert_true(u->opener && !u->granted);
	u->granted = true;
	u->rx_expected = start;
	u->rx_limit += start;
	assert_int_equal(u->rx_limit, tunnel_link_rx_limit(l, ch));
	u->end->opened++;
}

static void on_data(struct tunnel_link *l, uint16_t ch, uint64_t offset, const uint8_t *p,
		    size_t len, void *user)
{
	struct use *u = use_of(user, ch);

	assert_true(u->granted && !u->rx_eof);
	assert_int_equal(offset, u->rx_expected);
	assert_true(offset + len <= u->rx_limit);
	for (size_t i = 0; i < len; i++) {
		if (p[i] != byte_at(u->id, !u->opener, offset + i)) {
			fail_msg("channel %u: wrong byte", u->id);
		}
	}
	u->rx_expected += len;
	received[u->id][!u->opener] = u->rx_expected;
	u->end->data_seen++;
	if (draw(200) == 0) {
		ended[u->id] = true;
		u->id = 0;
		assert_int_equal(tunnel_link_close(l, ch, ""), 0);
	}
}

static void on_gap(struct tunnel_link *l, uint16_t ch, uint64_t offset, uint64_t length, void *user)
{
	struct use *u = use_of(user, ch);

	assert_true(u->granted && !u->rx_eof);
	assert_int_equal(offset, u->rx_expected);
	u->rx_expected += length;
	received[u->id][!u->opener] = u->rx_expected;
}

static void send_some(struct end *e, uint16_t ch, size_t len)
{
	static uint8_t bytes[100000];
	struct use *u = use_of(e, ch);
	uint64_t offset = tunnel_link_tx_offset(e->link, ch);
	size_t room = tunnel_link_room(e->link, ch);
	ssize_t n;

	for (size_t i = 0; i < len; i++) {
		bytes[i] = byte_at(u->id, u->opener, offset + i);
	}
	n = tunnel_link_send(e->link, ch, bytes, len);
	if (!u->granted) {
		assert_int_equal(n, -EINVAL);
		return;
	}
	if (u->tx_eof) {
		assert_int_equal(n, -EPIPE);
		return;
	}
	assert_int_equal(n, MIN(len, room));
	assert_int_equal(tunnel_link_tx_offset(e->link, ch), offset + (uint64_t)n);
	sent[u->id][u->opener] = offset + (uint64_t)n;
}

static void on_writable(struct tunnel_link *l, uint16_t ch, void *user)
{
	assert_true(use_of(user, ch)->granted);
	send_some(user, ch, draw(3000));
}

static void on_eof(struct tunnel_link *l, uint16_t ch, void *user)
{
	struct use *u = use_of(user, ch);

	assert_true(u->granted && !u->rx_eof);
	u->rx_eof = true;
	assert_int_equal(u->rx_expected, sent[u->id][!u->opener]);
}

static void on_ctl(struct tunnel_link *l, uint16_t ch, const struct tunnel_ctl *ctl, void *user)
{
	assert_true(use_of(user, ch)->granted);
	assert_int_equal(ctl->op, TUNNEL_CTL_WINSIZE);
	assert_int_equal(ctl->rows, ctl->columns);
}

static void on_closed(struct tunnel_link *l, uint16_t ch, const char *reason, void *user)
{
	struct use *u = use_of(user, ch);

	assert_true(u->id > 0);
	ended[u->id] = true;
	u->id = 0;
	u->end->closed++;
}

static const struct tunnel_link_ops ops = {
	.up = on_up,
	.open = on_open,
	.opened = on_opened,
	.data = on_data,
	.gap = on_gap,
	.writable = on_writable,
	.eof = on_eof,
	.ctl = on_ctl,
	.closed = on_closed,
};

static void link_start(struct end *e)
{
	enum tunnel_role role = e == &ends[0] ? TUNNEL_DIALER : TUNNEL_LISTENER;

	for (unsigned i = 0; i <= TUNNEL_CHANNEL_LAST; i++) {
		ended[e->uses[i].id] = true;
		e->uses[i].id = 0;
	}
	e->link = tunnel_link_free(e->link);
	assert_int_equal(tunnel_link_new(role, &ops, e, OUTPUT_MAX, &e->link), 0);
	tunnel_link_set_portlike(e->link);
}

static void flush(struct end *e, size_t max)
{
	struct buf *out = tunnel_link_output(e->link);
	size_t len = MIN(buf_len(out), max);

	assert_true(buf_len(out) <= OUTPUT_MAX);
	assert_int_equal(buf_append(&e->wire, buf_data(out), len), 0);
	tunnel_link_output_sent(e->link, len);
}

static void deliver(struct end *e, size_t max)
{
	size_t len = MIN(buf_len(&e->wire), max);
	uint8_t *copy;

	if (len == 0) {
		return;
	}
	copy = malloc(len);
	assert_non_null(copy);
	memcpy(copy, buf_data(&e->wire), len);
	buf_consume(&e->wire, len);
	assert_int_equal(tunnel_link_input(e->other->link, copy, len), 0);
	free(copy);
}

/* A random channel that this end knows; 0 if none. */
static uint16_t pick(struct end *e)
{
	unsigned first = draw(2 * CHANNELS);

	for (unsigned i = 0; i < TUNNEL_CHANNEL_LAST; i++) {
		uint16_t ch = (uint16_t)((first + i) % TUNNEL_CHANNEL_LAST + 1);

		if (e->uses[ch].id > 0) {
			return ch;
		}
	}
	return 0;
}

static void open_one(struct end *e)
{
	uint64_t window = draw(5000);
	unsigned mine = 0;
	char service[16];
	uint16_t ch;

	for (unsigned i = 0; i <= TUNNEL_CHANNEL_LAST; i++) {
		mine += e->uses[i].id > 0 && e->uses[i].opener;
	}
	if (mine >= CHANNELS || last_id + 1 >= ARRAY_SIZE(sent) || !tunnel_link_is_up(e->link)) {
		return;
	}
	last_id++;
	snprintf(service, sizeof(service), "%u", last_id);
	sent[last_id][0] = sent[last_id][1] = received[last_id][0] = received[last_id][1] = 0;
	ended[last_id] = false;
	assert_int_equal(tunnel_link_open(e->link, service, 3, TUNNEL_FROM_KEPT, window, &ch), 0);
	assert_int_equal(e->uses[ch].id, 0);
	e->uses[ch] = (struct use){ .id = last_id, .opener = true, .rx_limit = window, .end = e };
}

static void give_credit(struct end *e, uint16_t ch, uint64_t more)
{
	struct use *u = use_of(e, ch);
	uint64_t limit = u->rx_expected + more;

	assert_int_equal(tunnel_link_credit(e->link, ch, limit), 0);
	u->rx_limit = MAX(u->rx_limit, limit);
}

static void use_one(struct end *e)
{
	const struct tunnel_ctl ctl = { .op = TUNNEL_CTL_WINSIZE, .rows = 7, .columns = 7 };
	uint16_t ch = pick(e);
	struct use *u = use_of(e, ch);
	uint64_t length = draw(10) * 100;

	if (ch == 0) {
		return;
	}
	if (!u->granted) {
		if (!u->opener) {
			grant(e, ch);
		}
		return;
	}
	switch (draw(40)) {
	case 0:
		ended[u->id] = true;
		u->id = 0;
		assert_int_equal(tunnel_link_close(e->link, ch, "timeout"), 0);
		break;
	case 1:
		assert_int_equal(tunnel_link_eof(e->link, ch), 0);
		u->tx_eof = true;
		break;
	case 2:
	case 3:
		if (!u->tx_eof) {
			assert_int_equal(tunnel_link_send_gap(e->link, ch, length), 0);
			sent[u->id][u->opener] += length;
		}
		break;
	case 4:
		assert_int_equal(tunnel_link_ctl(e->link, ch, &ctl), 0);
		break;
	case 5:
	case 6:
	case 7:
	case 8:
	case 9:
	case 10:
		give_credit(e, ch, draw(200000));
		break;
	default:
		send_some(e, ch, draw(10) ? draw(500) : draw(100000));
		break;
	}
}

static void step(void)
{
	struct end *e = &ends[draw(2)];

	switch (draw(8)) {
	case 0:
		open_one(e);
		break;
	case 1:
	case 2:
		flush(e, draw(4) ? draw(300) : SIZE_MAX);
		break;
	case 3:
	case 4:
		deliver(e, draw(4) ? draw(300) : SIZE_MAX);
		break;
	default:
		use_one(e);
		break;
	}
}

static size_t move_all(void)
{
	size_t moved = 0;

	for (int i = 0; i < 2; i++) {
		flush(&ends[i], SIZE_MAX);
		moved += buf_len(&ends[i].wire);
		deliver(&ends[i], SIZE_MAX);
	}
	return moved;
}

/* Gives all the credit there is to give; then nothing may be missing. */
static void check_all_arrived(void)
{
	for (int round = 0; round < 3; round++) {
		while (move_all() > 0) {
		}
		for (int i = 0; i < 2; i++) {
			for (uint16_t ch = 1; ch <= TUNNEL_CHANNEL_LAST; ch++) {
				struct use *u = use_of(&ends[i], ch);

				if (u->id > 0 && !u->granted && !u->opener) {
					grant(&ends[i], ch);
				}
				if (u->id > 0 && u->granted) {
					give_credit(&ends[i], ch, 1000);
				}
			}
		}
	}
	while (move_all() > 0) {
	}
	for (uint32_t id = 1; id <= last_id; id++) {
		if (!ended[id]) {
			assert_int_equal(sent[id][0], received[id][0]);
			assert_int_equal(sent[id][1], received[id][1]);
		}
	}
}

static void run_start(unsigned seed)
{
	srandom(seed);
	last_id = 0;
	for (int i = 0; i < 2; i++) {
		ends[i] = (struct end){ .other = &ends[1 - i] };
		buf_init(&ends[i].wire, 16 << 20);
		link_start(&ends[i]);
	}
}

static void run_end(void)
{
	for (int i = 0; i < 2; i++) {
		tunnel_link_free(ends[i].link);
		buf_fini(&ends[i].wire);
	}
}

static void every_byte_once_and_in_order(void **state)
{
	unsigned opened = 0, data_seen = 0, closed = 0;

	for (unsigned seed = 1; seed <= 30; seed++) {
		run_start(seed);
		for (int i = 0; i < 6000; i++) {
			step();
		}
		check_all_arrived();
		for (int i = 0; i < 2; i++) {
			opened += ends[i].opened;
			data_seen += ends[i].data_seen;
			closed += ends[i].closed;
		}
		run_end();
	}
	/* The run was about something. */
	assert_true(opened > 2000 && data_seen > 20000 && closed > 1000);
}

/* A program dies, or sees the other end go away and comes back: what was on its way is cut
 * anywhere. */
static void restart_one(void)
{
	struct end *e = &ends[draw(2)];

	deliver(e, draw(1000));
	if (draw(2)) {
		link_start(e);
	} else {
		tunnel_link_reset(e->link);
	}
	/* Its connection is gone, and the other end sees that: the rest of a frame would be
	 * anybody's bytes. */
	tunnel_link_reset(e->other->link);
	buf_clear(&ends[0].wire);
	buf_clear(&ends[1].wire);
}

/* The listener alone starts anew in the middle of whatever it had on its way. */
static void restart_listener_unseen(void)
{
	flush(&ends[1], SIZE_MAX);
	deliver(&ends[1], SIZE_MAX);
	link_start(&ends[1]);
}

static void cuts_and_restarts_lose_no_truth(void **state)
{
	for (unsigned seed = 100; seed <= 130; seed++) {
		run_start(seed);
		for (int i = 0; i < 6000; i++) {
			step();
			if (draw(300) == 0) {
				if (draw(2)) {
					restart_one();
				} else {
					restart_listener_unseen();
				}
			}
		}
		check_all_arrived();
		assert_true(tunnel_link_is_up(ends[0].link));
		assert_true(tunnel_link_is_up(ends[1].link));
		run_end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_once_and_in_order),
		cmocka_unit_test(cuts_and_restarts_lose_no_truth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
