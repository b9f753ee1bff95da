/* SPDX-License-Identifier: Apache-2.0 */
/* The hub: many readers, one writer, gaps, a source that comes and goes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hub.h"
#include "terminal.h"
#include "test.h"

#define RING_BYTES 4096

static const uint8_t boot[RING_BOOT_ID_BYTES] = "boot";

struct fixture {
	int fd;
	struct hub *hub;
	unsigned input_ready;
};

struct seen {
	struct hub_reader *reader;
	unsigned ready, source_calls, room_calls;
	int writer; /* -1: not told */
	int broke;  /* -1: not told */
	unsigned rows, columns;
	bool source;
};

static void on_ready(void *user)
{
	((struct seen *)user)->ready++;
}

static void on_writer(bool holds, void *user)
{
	((struct seen *)user)->writer = holds;
}

static void on_source(bool up, void *user)
{
	((struct seen *)user)->source = up;
	((struct seen *)user)->source_calls++;
}

static void on_room(void *user)
{
	((struct seen *)user)->room_calls++;
}

static void on_broke(bool done, void *user)
{
	((struct seen *)user)->broke = done;
}

static void on_resized(unsigned rows, unsigned columns, void *user)
{
	((struct seen *)user)->rows = rows;
	((struct seen *)user)->columns = columns;
}

static const struct hub_reader_ops ops = {
	.ready = on_ready,
	.writer = on_writer,
	.source = on_source,
	.input_room = on_room,
	.resized = on_resized,
	.broke = on_broke,
};

static void on_input(void *user)
{
	((struct fixture *)user)->input_ready++;
}

static void hub_of(struct fixture *f, bool writable)
{
	struct ring *ring = NULL;

	assert_int_equal(ring_open(f->fd, RING_BYTES, boot, &ring), 0);
	assert_int_equal(hub_new_take(ring, writable, &f->hub), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->fd = memfd_create("ring", MFD_CLOEXEC);
	hub_of(f, true);
	hub_source_up(f->hub, true, true, on_input, f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	hub_free(f->hub);
	close(f->fd);
	free(f);
	return 0;
}

static struct seen *reader_of(struct fixture *f, uint64_t from, uint8_t mode)
{
	struct seen *s = calloc(1, sizeof(*s));

	s->writer = -1;
	assert_int_equal(hub_reader_new(f->hub, &ops, s, from, mode, &s->reader), FAULT_NONE);
	return s;
}

static void reader_done(struct seen *s)
{
	hub_reader_free(s->reader);
	free(s);
}

/* Reads all there is; gaps as "<N>", N = 0: unknown. */
static void read_all(struct seen *s, char *out, size_t size)
{
	struct hub_chunk c;
	size_t n = 0;

	for (;;) {
		hub_reader_next(s->reader, &c);
		if (c.kind == HUB_NOTHING) {
			break;
		}
		assert_int_equal(c.offset, hub_reader_offset(s->reader));
		if (c.kind == HUB_GAP) {
			n += (size_t)snprintf(out + n, size - n, "<%u>", (unsigned)c.len);
		} else {
			assert_true(n + c.len < size);
			memcpy(out + n, c.bytes, c.len);
			n += c.len;
		}
		hub_reader_took(s->reader, &c, c.len);
	}
	out[n] = '\0';
}

static void check_read(struct seen *s, const char *expected)
{
	char out[2 * RING_BYTES];

	read_all(s, out, sizeof(out));
	assert_string_equal(out, expected);
}

static void feed(struct fixture *f, const char *text)
{
	hub_feed(f->hub, text, strlen(text));
}

/* What a terminal shows that was given everything a reader gets. */
static void check_screen(struct seen *s, struct terminal *t, const char *first_row)
{
	char out[4 * RING_BYTES];
	unsigned rows, columns;

	read_all(s, out, sizeof(out));
	terminal_feed(t, out, strlen(out));
	terminal_screen_size(t, &rows, &columns);
	for (unsigned i = 0; i < columns; i++) {
		uint32_t c = terminal_cell(t, 0, i)->chars[0];

		assert_int_equal(c ? c : ' ', i < strlen(first_row) ? (uint8_t)first_row[i] : ' ');
	}
}

static void late_reader_gets_the_screen_then_what_comes(void **state)
{
	struct fixture *f = *state;
	struct terminal *t;
	struct hub_chunk c;
	struct seen *a;

	assert_int_equal(terminal_new(TERMINAL_ROWS, TERMINAL_COLUMNS, &t), 0);
	for (unsigned i = 0; i < 1000; i++) {
		feed(f, "long ago\r\n");
	}
	feed(f, "\033[2J\033[1;1Hstatus: \033[3");
	a = reader_of(f, TUNNEL_FROM_SCREEN, 1);
	assert_int_equal(hub_reader_offset(a->reader), ring_head(hub_ring(f->hub)));
	/* in the midst of a sequence, and more comes before he has taken anything */
	feed(f, "1mgood");
	hub_reader_next(a->reader, &c);
	assert_int_equal(c.kind, HUB_SCREEN);
	assert_in_range(c.len, 20, 1000);
	check_screen(a, t, "status: good");
	assert_int_equal(terminal_cell(t, 0, 8)->style.fg, TERMINAL_COLOR_INDEX | 1);
	assert_int_equal(hub_reader_offset(a->reader), ring_head(hub_ring(f->hub)));
	feed(f, "\r\033[Knext");
	assert_int_equal(a->ready, 1);
	check_screen(a, t, "next");
	reader_done(a);
	terminal_free(t);
}

static void screen_outlives_the_hub(void **state)
{
	struct fixture *f = *state;
	struct terminal *t;
	struct seen *a;

	assert_int_equal(terminal_new(TERMINAL_ROWS, TERMINAL_COLUMNS, &t), 0);
	feed(f, "kept\033]0;title that nobody ended");
	hub_source_down(f->hub);
	hub_source_up(f->hub, true, false, on_input, f);
	feed(f, " and shown");
	hub_free(f->hub);
	hub_of(f, true);
	a = reader_of(f, TUNNEL_FROM_SCREEN, 1);
	check_screen(a, t, "kept and shown");
	reader_done(a);
	terminal_free(t);
}

static void screen_has_the_writers_size(void **state)
{
	struct fixture *f = *state;
	struct seen *w = reader_of(f, TUNNEL_FROM_LIVE, TUNNEL_MODE_READ | TUNNEL_MODE_WRITE),
		    *r = reader_of(f, TUNNEL_FROM_LIVE, TUNNEL_MODE_READ), *a;
	struct terminal *t;
	char line[121];

	assert_int_equal(terminal_new(40, 120, &t), 0);
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	hub_reader_size(w->reader, 40, 120);
	hub_reader_size(w->reader, 0, 0);
	hub_reader_size(r->reader, 10, 10); /* is not his to say */
	feed(f, line);
	a = reader_of(f, TUNNEL_FROM_SCREEN, TUNNEL_MODE_READ);
	check_screen(a, t, line);
	reader_done(a);
	reader_done(r);
	reader_done(w);
	terminal_free(t);
}

static void screens_are_bounded(void **state)
{
	struct fixture *f = *state;
	struct seen *readers[HUB_READERS_MAX];
	struct seen refused = { 0 };
	size_t n = 0;

	hub_source_up(f->hub, true, true, on_input, f);
	for (unsigned i = 0; i < 4000; i++) {
		char text[64];

		snprintf(text, sizeof(text), "\033[1;3;4;38;2;%u;2;3;48;2;4;5;6mx", i % 256);
		feed(f, text);
	}
	while (n < HUB_READERS_MAX && hub_reader_new(f->hub, &ops, &refused, TUNNEL_FROM_SCREEN, 1,
						     &refused.reader) == FAULT_NONE) {
		readers[n] = calloc(1, sizeof(**readers));
		readers[n++]->reader = refused.reader;
	}
	assert_in_range(n, 8, HUB_READERS_MAX - 1);
	assert_int_equal(
		hub_reader_new(f->hub, &ops, &refused, TUNNEL_FROM_SCREEN, 1, &refused.reader),
		FAULT_QUOTA);
	/* who takes his, or goes, makes room; others are not concerned */
	reader_done(readers[--n]);
	readers[n++] = reader_of(f, TUNNEL_FROM_SCREEN, 1);
	reader_done(reader_of(f, TUNNEL_FROM_KEPT, 1));
	while (n > 0) {
		reader_done(readers[--n]);
	}
}

static void readers_have_their_own_place(void **state)
{
	struct fixture *f = *state;
	struct seen *a, *b, *live;

	feed(f, "hello ");
	a = reader_of(f, TUNNEL_FROM_KEPT, 1);
	live = reader_of(f, TUNNEL_FROM_LIVE, 1);
	b = reader_of(f, 3, 1);
	assert_int_equal(hub_reader_offset(b->reader), 3);
	check_read(a, "hello ");
	check_read(live, "");
	feed(f, "world");
	assert_int_equal(a->ready, 1);
	assert_int_equal(live->ready, 1);
	assert_int_equal(b->ready, 0); /* never asked yet */
	feed(f, "!");
	assert_int_equal(a->ready, 1); /* told once */
	check_read(a, "world!");
	check_read(live, "world!");
	check_read(b, "lo world!");
	reader_done(a);
	reader_done(b);
	reader_done(live);
}

static void slow_reader_sees_a_gap(void **state)
{
	struct fixture *f = *state;
	struct seen *slow = reader_of(f, 0, 1), *fast = reader_of(f, 0, 1);
	char line[101], out[2 * RING_BYTES], expected[64];
	size_t total = 0;

	memset(line, 'x', 100);
	line[100] = '\0';
	for (int i = 0; i < 100; i++) {
		feed(f, line);
		read_all(fast, out, sizeof(out));
		assert_string_equal(out, line);
		total += 100;
	}
	read_all(slow, out, sizeof(out));
	snprintf(expected, sizeof(expected), "<%zu>", total - RING_BYTES);
	assert_int_equal(strncmp(out, expected, strlen(expected)), 0);
	assert_int_equal(strlen(out), strlen(expected) + RING_BYTES);
	reader_done(slow);
	reader_done(fast);
}

static void lost_source_is_an_unknown_gap(void **state)
{
	struct fixture *f = *state;
	struct seen *a = reader_of(f, 0, 1), *b;

	feed(f, "one");
	hub_source_down(f->hub);
	assert_int_equal(a->source_calls, 1);
	assert_false(a->source);
	hub_source_down(f->hub);
	assert_int_equal(a->source_calls, 1);
	check_read(a, "one");
	hub_source_up(f->hub, true, false, on_input, f);
	assert_true(a->source);
	feed(f, "two");
	check_read(a, "<0>two");
	hub_source_down(f->hub);
	hub_source_up(f->hub, true, true, on_input, f); /* fresh: nothing was lost */
	feed(f, "three");
	check_read(a, "three");
	b = reader_of(f, TUNNEL_FROM_KEPT, 1);
	check_read(b, "one<0>twothree");
	reader_done(b);
	/* The loss is seen by who comes back to the very offset, not by who has passed it. */
	b = reader_of(f, 3, 1);
	check_read(b, "<0>twothree");
	reader_done(b);
	b = reader_of(f, 4, 1);
	check_read(b, "wothree");
	reader_done(b);
	reader_done(a);
}

static void restart_keeps_offsets(void **state)
{
	struct fixture *f = *state;
	struct seen *s;

	feed(f, "before");
	hub_free(f->hub);
	hub_of(f, true);
	hub_source_up(f->hub, true, false, on_input, f);
	feed(f, "after");
	s = reader_of(f, 4, 1);
	check_read(s, "re<0>after");
	assert_int_equal(hub_reader_offset(s->reader), 11);
	reader_done(s);
	s = reader_of(f, 1000, 1); /* knows another stream */
	assert_int_equal(hub_reader_offset(s->reader), 0);
	reader_done(s);
}

static void one_writer(void **state)
{
	struct fixture *f = *state;
	struct seen *a = reader_of(f, 0, 3), *b = reader_of(f, 0, 3), *c, *r = reader_of(f, 0, 1);
	struct hub_reader *none = NULL;

	assert_true(hub_reader_is_writer(a->reader));
	assert_false(hub_reader_is_writer(b->reader));
	assert_false(hub_reader_take(b->reader)); /* may not take over */
	assert_false(hub_reader_take(r->reader)); /* may not write */
	assert_int_equal(hub_reader_new(f->hub, &ops, NULL, 0, 2, &none), FAULT_WRITER_TAKEN);
	assert_int_equal(hub_reader_input_room(b->reader), 0);
	assert_int_equal(hub_reader_write(b->reader, "no", 2), 0);
	assert_int_equal(hub_reader_write(a->reader, "yes", 3), 0);
	assert_int_equal(buf_len(hub_input(f->hub)), 3);
	assert_int_equal(f->input_ready, 1);

	c = reader_of(f, 0, 7);
	assert_true(hub_reader_is_writer(c->reader));
	assert_int_equal(a->writer, 0); /* was told */
	assert_int_equal(hub_reader_write(a->reader, "late", 4), 0);
	assert_int_equal(buf_len(hub_input(f->hub)), 3);
	reader_done(c);
	assert_false(hub_has_writer(f->hub));
	assert_true(hub_reader_take(b->reader)); /* free now */
	reader_done(a);
	reader_done(b);
	reader_done(r);
}

static void input_is_bounded(void **state)
{
	struct fixture *f = *state;
	struct seen *s = reader_of(f, 0, 3);
	static const uint8_t bytes[1024];
	int err = 0;

	assert_int_equal(hub_reader_input_room(s->reader), HUB_INPUT_WINDOW);
	for (size_t n = 0; n <= HUB_INPUT_MAX && err == 0; n += sizeof(bytes)) {
		err = hub_reader_write(s->reader, bytes, sizeof(bytes));
	}
	assert_int_equal(err, -ENOBUFS);
	assert_int_equal(hub_reader_input_room(s->reader), 0);
	assert_int_equal(s->room_calls, 0);
	hub_input_sent(f->hub, HUB_INPUT_MAX - HUB_INPUT_WINDOW + 1);
	assert_int_equal(s->room_calls, 1);
	assert_int_equal(hub_reader_input_room(s->reader), 1);
	/* A guest that starts later must not get what was typed at the one before. */
	hub_source_down(f->hub);
	assert_int_equal(buf_len(hub_input(f->hub)), 0);
	assert_int_equal(hub_reader_write(s->reader, "x", 1), 0);
	assert_int_equal(buf_len(hub_input(f->hub)), 0);
	reader_done(s);
}

static void breaks_and_pace_are_the_writers(void **state)
{
	struct fixture *f = *state;
	struct seen *b = reader_of(f, 0, 7), *a = reader_of(f, 0, 7);
	struct typist *typist = hub_typist(f->hub);

	a->broke = b->broke = -1;
	assert_false(hub_reader_break(b->reader));
	hub_reader_pace(b->reader, 9);
	assert_int_equal(typist->rate, 0);
	hub_reader_pace(a->reader, 9);
	assert_int_equal(typist->rate, 9);
	f->input_ready = 0;
	assert_true(hub_reader_break(a->reader));
	assert_int_equal(f->input_ready, 1);
	/* it is not lost with the right to write */
	assert_true(hub_reader_take(b->reader));
	assert_int_equal(typist->rate, 0);
	typist_break_begin(typist);
	hub_broke(f->hub, true);
	assert_int_equal(a->broke, 1);
	assert_int_equal(f->input_ready, 2);
	/* nor does it need who asked for it */
	assert_true(hub_reader_break(b->reader));
	reader_done(b);
	typist_break_begin(typist);
	hub_broke(f->hub, true);
	/* but the source */
	assert_true(hub_reader_take(a->reader));
	assert_true(hub_reader_break(a->reader));
	hub_source_down(f->hub);
	assert_int_equal(a->broke, 0);
	assert_false(hub_reader_break(a->reader));
	hub_broke(f->hub, true); /* the answer to one that was given up */
	assert_int_equal(a->broke, 0);
	reader_done(a);
}

static void writing_goes_to_the_successor(void **state)
{
	struct fixture *f = *state;
	struct seen *a = reader_of(f, 0, 3), *b = reader_of(f, 0, 3), *c = reader_of(f, 0, 1);

	assert_false(hub_reader_succeed(b->reader, c->reader));
	assert_false(hub_reader_succeed(c->reader, a->reader));
	assert_false(hub_reader_succeed(a->reader, a->reader));
	assert_true(hub_reader_succeed(b->reader, a->reader));
	assert_int_equal(a->writer, 0);
	assert_true(hub_reader_is_writer(b->reader));
	reader_done(a);
	reader_done(b);
	reader_done(c);
}

static void read_only_stream(void **state)
{
	struct fixture *f = *state;
	struct hub_reader *none = NULL;
	struct seen *s;

	hub_free(f->hub);
	hub_of(f, false);
	s = reader_of(f, 0, 7);
	assert_false(hub_reader_is_writer(s->reader));
	assert_int_equal(hub_reader_new(f->hub, &ops, NULL, 0, 2, &none), FAULT_CONSOLE_READ_ONLY);
	reader_done(s);
}

static void read_only_source(void **state)
{
	struct fixture *f = *state;
	struct seen *a = reader_of(f, TUNNEL_FROM_LIVE, TUNNEL_MODE_READ | TUNNEL_MODE_WRITE), *b;

	assert_true(hub_reader_is_writer(a->reader));
	hub_source_down(f->hub);
	assert_true(hub_reader_is_writer(a->reader));
	hub_source_up(f->hub, false, true, on_input, f);
	assert_int_equal(a->writer, 0);
	assert_int_equal(hub_reader_input_room(a->reader), 0);
	b = reader_of(f, TUNNEL_FROM_LIVE, TUNNEL_MODE_READ | TUNNEL_MODE_WRITE | TUNNEL_MODE_TAKE);
	assert_false(hub_reader_is_writer(b->reader));
	hub_source_up(f->hub, true, true, on_input, f);
	assert_true(hub_reader_take(b->reader));
	reader_done(a);
	reader_done(b);
}

static void readers_are_bounded(void **state)
{
	struct fixture *f = *state;
	static struct hub_reader *r[HUB_READERS_MAX];
	struct hub_reader *more = NULL;
	struct seen s = { 0 };

	for (size_t i = 0; i < HUB_READERS_MAX; i++) {
		assert_int_equal(hub_reader_new(f->hub, &ops, &s, 0, 1, &r[i]), FAULT_NONE);
	}
	assert_int_equal(hub_reader_new(f->hub, &ops, &s, 0, 1, &more), FAULT_QUOTA);
	for (size_t i = 0; i < HUB_READERS_MAX; i++) {
		hub_reader_free(r[i]);
	}
	assert_int_equal(hub_readers(f->hub), 0);
}

/*
 * Any order of events: each reader sees the source's bytes in order; bytes and gaps add up to the
 * offset; unknown gaps stand where the source was away. Bytes are told by their offset (mod 251).
 */
static void any_order_of_events(void **state)
{
	struct fixture *f = *state;
	struct seen *readers[6] = { 0 };
	uint64_t head = 0;

	srandom(6);
	for (int step = 0; step < 60000; step++) {
		size_t i = (size_t)random() % ARRAY_SIZE(readers);
		struct hub_chunk c;
		uint8_t bytes[700];
		size_t len;

		switch (random() % 8) {
		case 0:
			if (readers[i]) {
				reader_done(readers[i]);
				readers[i] = NULL;
			} else {
				readers[i] = reader_of(f, (uint64_t)random() % (head + 1), 7);
			}
			break;
		case 1:
			if (random() % 20 == 0) {
				hub_source_down(f->hub);
				hub_source_up(f->hub, true, random() % 2, on_input, f);
			}
			break;
		case 2:
		case 3:
			len = (size_t)random() % sizeof(bytes);
			for (size_t k = 0; k < len; k++) {
				bytes[k] = (uint8_t)((head + k) % 251);
			}
			hub_feed(f->hub, bytes, len);
			head += len;
			break;
		default:
			if (!readers[i]) {
				break;
			}
			hub_reader_next(readers[i]->reader, &c);
			if (c.kind == HUB_NOTHING) {
				assert_int_equal(hub_reader_offset(readers[i]->reader), head);
				break;
			}
			len = c.kind == HUB_BYTES ? (size_t)random() % (c.len + 1) : c.len;
			for (size_t k = 0; c.kind == HUB_BYTES && k < len; k++) {
				assert_int_equal(c.bytes[k], (c.offset + k) % 251);
			}
			hub_reader_took(readers[i]->reader, &c, len);
			assert_int_equal(hub_reader_offset(readers[i]->reader), c.offset + len);
			assert_true(hub_reader_offset(readers[i]->reader) <= head);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(readers); i++) {
		if (readers[i]) {
			reader_done(readers[i]);
		}
	}
}

/* The size that the writer says is told to the others, and to nobody twice. */
static void size_is_told(void **state)
{
	struct fixture *f = *state;
	struct seen *writer = reader_of(f, TUNNEL_FROM_LIVE, TUNNEL_MODE_READ | TUNNEL_MODE_WRITE);
	struct seen *watcher = reader_of(f, TUNNEL_FROM_LIVE, TUNNEL_MODE_READ);
	unsigned rows, columns;

	assert_false(hub_size(f->hub, &rows, &columns));
	hub_reader_size(watcher->reader, 50, 132);
	hub_reader_size(writer->reader, 0, 132);
	assert_false(hub_size(f->hub, &rows, &columns));
	hub_reader_size(writer->reader, 50, 132);
	assert_int_equal(watcher->rows, 50);
	assert_int_equal(watcher->columns, 132);
	assert_int_equal(writer->rows, 0);
	watcher->rows = 0;
	hub_reader_size(writer->reader, 50, 132);
	assert_int_equal(watcher->rows, 0);
	assert_true(hub_size(f->hub, &rows, &columns));
	assert_int_equal(rows, 50);
	assert_int_equal(columns, 132);
	reader_done(writer);
	reader_done(watcher);
}

/* Nothing is kept: what is said while nobody reads is drained and gone, and what was said while
 * somebody did goes with the last. */
static void nothing_is_kept(void **state)
{
	struct fixture *f = *state;
	int fd = memfd_create("next", MFD_CLOEXEC);
	struct ring *next = NULL;
	struct seen *one, *two;
	struct terminal *t = NULL;

	feed(f, "kept so far");
	one = reader_of(f, TUNNEL_FROM_KEPT, TUNNEL_MODE_READ);
	assert_int_equal(ring_open_resized(fd, RING_BYTES, false, hub_ring(f->hub), &next), 0);
	hub_ring_replace_take(f->hub, next);
	feed(f, "while one reads");
	check_read(one, "<11>while one reads");
	two = reader_of(f, TUNNEL_FROM_KEPT, TUNNEL_MODE_READ);
	reader_done(one);
	check_read(two, "while one reads");
	feed(f, ", and two");
	check_read(two, ", and two");
	reader_done(two);
	assert_int_equal(ring_floor(hub_ring(f->hub)), ring_head(hub_ring(f->hub)));
	feed(f, "nobody hears this");
	one = reader_of(f, TUNNEL_FROM_SCREEN, TUNNEL_MODE_READ);
	assert_int_equal(terminal_new(24, 80, &t), 0);
	check_screen(one, t, "");
	terminal_free(t);
	two = reader_of(f, 3, TUNNEL_MODE_READ);
	assert_int_equal(hub_reader_offset(two->reader), 11 + 15 + 9 + 17);
	feed(f, "heard");
	check_read(two, "heard");
	reader_done(one);
	reader_done(two);
	close(fd);
}

#define hub_test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		hub_test(readers_have_their_own_place),
		hub_test(late_reader_gets_the_screen_then_what_comes),
		hub_test(screen_outlives_the_hub),
		hub_test(screen_has_the_writers_size),
		hub_test(screens_are_bounded),
		hub_test(slow_reader_sees_a_gap),
		hub_test(lost_source_is_an_unknown_gap),
		hub_test(restart_keeps_offsets),
		hub_test(one_writer),
		hub_test(input_is_bounded),
		hub_test(breaks_and_pace_are_the_writers),
		hub_test(writing_goes_to_the_successor),
		hub_test(read_only_stream),
		hub_test(read_only_source),
		hub_test(readers_are_bounded),
		hub_test(any_order_of_events),
		hub_test(size_is_told),
		hub_test(nothing_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
