/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal model: what programs print, snapshots, and hostile bytes. The referee is another
 * model, libvterm's, which our code shares nothing with; it is given well-formed bytes only.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vterm.h>

#include "terminal.h"
#include "test.h"

static struct terminal *terminal(unsigned rows, unsigned columns)
{
	struct terminal *t;

	assert_int_equal(terminal_new(rows, columns, &t), 0);
	return t;
}

static void say(struct terminal *t, const char *text)
{
	terminal_feed(t, text, strlen(text));
}

static uint32_t char_at(const struct terminal *t, unsigned row, unsigned column)
{
	uint32_t c = terminal_cell(t, row, column)->chars[0];

	return c ? c : ' ';
}

static void assert_row(const struct terminal *t, unsigned row, const char *text)
{
	unsigned rows, columns;

	terminal_screen_size(t, &rows, &columns);
	for (unsigned i = 0; i < columns; i++) {
		uint32_t expected = i < strlen(text) ? (uint8_t)text[i] : ' ';

		if (char_at(t, row, i) != expected) {
			fail_msg("row %u, column %u: U+%04X, not U+%04X", row, i,
				 char_at(t, row, i), expected);
		}
	}
}

static void assert_cursor(const struct terminal *t, unsigned row, unsigned column)
{
	unsigned at_row, at_column;

	terminal_cursor(t, &at_row, &at_column);
	assert_int_equal(at_row, row);
	assert_int_equal(at_column, column);
}

/* A terminal that was given the snapshot of another and nothing else. */
static struct terminal *late(const struct terminal *t)
{
	unsigned rows, columns;
	struct terminal *second;
	struct buf out;

	terminal_screen_size(t, &rows, &columns);
	second = terminal(rows, columns);
	buf_init(&out, TERMINAL_SNAPSHOT_MAX);
	assert_int_equal(terminal_snapshot(t, &out), 0);
	terminal_feed(second, buf_data(&out), buf_len(&out));
	buf_fini(&out);
	return second;
}

static void assert_same(const struct terminal *a, const struct terminal *b)
{
	unsigned rows, columns, row, column;
	struct buf x, y;

	terminal_screen_size(a, &rows, &columns);
	terminal_cursor(a, &row, &column);
	assert_cursor(b, row, column);
	for (row = 0; row < rows; row++) {
		for (column = 0; column < columns; column++) {
			const struct terminal_cell *c = terminal_cell(a, row, column);
			const struct terminal_cell *d = terminal_cell(b, row, column);

			assert_int_equal(c->width, d->width);
			assert_int_equal(char_at(a, row, column), char_at(b, row, column));
			assert_int_equal(c->chars[1], d->chars[1]);
			assert_memory_equal(&c->style, &d->style, sizeof(c->style));
		}
	}
	/* and all that a screen does not show */
	buf_init(&x, TERMINAL_SNAPSHOT_MAX);
	buf_init(&y, TERMINAL_SNAPSHOT_MAX);
	assert_int_equal(terminal_snapshot(a, &x), 0);
	assert_int_equal(terminal_snapshot(b, &y), 0);
	assert_int_equal(buf_len(&x), buf_len(&y));
	assert_memory_equal(buf_data(&x), buf_data(&y), buf_len(&x));
	buf_fini(&x);
	buf_fini(&y);
}

static void lines_and_wrapping(void **state)
{
	struct terminal *t = terminal(4, 10);

	say(t, "one\r\ntwo\r\n0123456789");
	assert_cursor(t, 2, 9); /* the next line begins with the next character */
	say(t, "ab\rX\r\nlast\b\b_\tz");
	assert_row(t, 0, "two");
	assert_row(t, 1, "0123456789");
	assert_row(t, 2, "Xb");
	assert_row(t, 3, "la_t    z");
	say(t, "\033[?7l\033[1;8Habcdef");
	assert_row(t, 0, "two    abf");
	terminal_free(t);
}

static void editing(void **state)
{
	struct terminal *t = terminal(5, 10);

	say(t, "abcdefghij\033[1;3H\033[2@XY\033[1;9H\033[P");
	assert_row(t, 0, "abXYcdefh");
	say(t, "\033[2;1H12345\033[2;3H\033[K\033[3;1H12345\033[3;3H\033[1K\033[3;5H\033[X");
	assert_row(t, 1, "12");
	assert_row(t, 2, "   4");
	say(t, "\033[H\033[4hin\033[4l\033[1;1H\033[L\033[2;1H\033[M");
	assert_row(t, 0, "");
	assert_row(t, 1, "12");
	say(t, "\033[H\033[Jx\033[5b");
	assert_row(t, 0, "xxxxxx");
	assert_row(t, 1, "");
	terminal_free(t);
}

static void scroll_region_and_origin(void **state)
{
	struct terminal *t = terminal(6, 10);

	say(t, "a\r\nb\r\nc\r\nd\r\ne\r\nf\033[2;4r");
	assert_cursor(t, 0, 0);
	say(t, "\033[4;1H\n");
	assert_row(t, 0, "a");
	assert_row(t, 1, "c");
	assert_row(t, 2, "d");
	assert_row(t, 3, "");
	assert_row(t, 4, "e");
	say(t, "\033[?6h\033[1;1H\033M!");
	assert_row(t, 1, "!");
	assert_row(t, 2, "c");
	say(t, "\033[9;2H");
	assert_cursor(t, 3, 1);
	say(t, "\033[?6l\033[9;2H\033[S");
	assert_cursor(t, 5, 1);
	assert_row(t, 1, "c");
	terminal_free(t);
}

static void colours_and_attributes(void **state)
{
	struct terminal *t = terminal(2, 20);
	const struct terminal_style *style;

	say(t,
	    "\033[1;31;44mA\033[22;39mB\033[38;5;200;48;2;1;2;3mC\033[0;4:3;97mD\033[4:0;38:2::9:8:"
	    "7;58;5;3;7mE\033[mF\033[41m\033[K");
	style = &terminal_cell(t, 0, 0)->style;
	assert_int_equal(style->attrs, TERMINAL_BOLD);
	assert_int_equal(style->fg, TERMINAL_COLOR_INDEX | 1);
	assert_int_equal(style->bg, TERMINAL_COLOR_INDEX | 4);
	style = &terminal_cell(t, 0, 1)->style;
	assert_int_equal(style->attrs, 0);
	assert_int_equal(style->fg, 0);
	style = &terminal_cell(t, 0, 2)->style;
	assert_int_equal(style->fg, TERMINAL_COLOR_INDEX | 200);
	assert_int_equal(style->bg, TERMINAL_COLOR_RGB | 0x010203);
	style = &terminal_cell(t, 0, 3)->style;
	assert_int_equal(style->attrs, TERMINAL_UNDERLINE);
	assert_int_equal(style->fg, TERMINAL_COLOR_INDEX | 15);
	style = &terminal_cell(t, 0, 4)->style;
	assert_int_equal(style->attrs, TERMINAL_REVERSE);
	assert_int_equal(style->fg, TERMINAL_COLOR_RGB | 0x090807);
	style = &terminal_cell(t, 0, 5)->style;
	assert_int_equal(style->attrs | style->fg | style->bg, 0);
	/* what is erased has the background of the pen */
	assert_int_equal(terminal_cell(t, 0, 19)->style.bg, TERMINAL_COLOR_INDEX | 1);
	terminal_free(t);
}

static void wide_and_combining(void **state)
{
	struct terminal *t = terminal(3, 6);

	say(t, "\xe4\xb8\xad\xe6\x96\x87"
	       "e\xcc\x81");
	assert_int_equal(terminal_cell(t, 0, 0)->width, 2);
	assert_int_equal(terminal_cell(t, 0, 1)->width, 0);
	assert_int_equal(terminal_cell(t, 0, 4)->chars[0], 'e');
	assert_int_equal(terminal_cell(t, 0, 4)->chars[1], 0x301);
	assert_cursor(t, 0, 5);
	say(t, "\xe4\xb8\xad"); /* has no room on this line */
	assert_int_equal(char_at(t, 0, 5), ' ');
	assert_int_equal(char_at(t, 1, 0), 0x4e2d);
	assert_cursor(t, 1, 2);
	say(t, "\033[1;2Hx"); /* half of a wide one */
	assert_int_equal(char_at(t, 0, 0), ' ');
	assert_int_equal(terminal_cell(t, 0, 0)->width, 1);
	assert_int_equal(char_at(t, 0, 1), 'x');
	say(t, "\033[3;1H\xff\xe4\xb8"
	       "A\xe4\n");
	assert_int_equal(char_at(t, 1, 0), 0xfffd);
	assert_int_equal(char_at(t, 1, 1), 0xfffd);
	assert_int_equal(char_at(t, 1, 2), 'A');
	assert_int_equal(char_at(t, 1, 3), 0xfffd); /* broken off by the line feed */
	terminal_free(t);
}

static void line_drawing(void **state)
{
	struct terminal *t = terminal(2, 10), *second;

	say(t, "\033(0lqk\033(Bq\033)0\016x");
	assert_int_equal(char_at(t, 0, 0), 0x250c);
	assert_int_equal(char_at(t, 0, 1), 0x2500);
	assert_int_equal(char_at(t, 0, 3), 'q');
	assert_int_equal(char_at(t, 0, 4), 0x2502);
	second = late(t);
	say(second, "x\017x");
	assert_int_equal(char_at(second, 0, 5), 0x2502);
	assert_int_equal(char_at(second, 0, 6), 'x');
	terminal_free(t);
	terminal_free(second);
}

static void alternate_screen(void **state)
{
	struct terminal *t = terminal(4, 20), *second;

	say(t, "shell\r\n$ vi\r\n\033[?1049h\033[H\033[7mstatus\033[m\033[3;5H\033[?25l");
	assert_row(t, 0, "status");
	assert_row(t, 1, "");
	second = late(t);
	assert_same(t, second);
	/* the reader sees what comes back, though it was never drawn while he looked */
	say(t, "\033[?1049l\033[?25h$ ");
	say(second, "\033[?1049l\033[?25h$ ");
	assert_row(second, 0, "shell");
	assert_row(second, 1, "$ vi");
	assert_row(second, 2, "$");
	assert_cursor(second, 2, 2);
	assert_same(t, second);
	terminal_free(t);
	terminal_free(second);
}

static void strings_are_read_over(void **state)
{
	struct terminal *t = terminal(2, 20);

	say(t,
	    "a\033]0;title\007b\033]2;x\033\\c\033Pq#0\007still\033\\d\033_x\033\\e\033]gone\030f");
	assert_row(t, 0, "abcdef");
	terminal_free(t);
}

static void gap_ends_what_was_begun(void **state)
{
	struct terminal *t = terminal(2, 20);

	say(t, "a\033]0;never ended");
	terminal_gap(t);
	say(t, "b\033[3");
	terminal_gap(t);
	say(t, "c");
	assert_row(t, 0, "abc");
	terminal_free(t);
}

static void resized(void **state)
{
	struct terminal *t = terminal(4, 10);

	say(t, "a\r\nb\r\nc\r\nd\033[2;3r\033[4;2H");
	assert_int_equal(terminal_resize(t, 2, 5), 0);
	assert_row(t, 0, "c");
	assert_row(t, 1, "d");
	assert_cursor(t, 1, 1);
	assert_int_equal(terminal_resize(t, 5, 200), 0);
	say(t, "\r\ne\033[1;200Hz");
	assert_row(t, 2, "e");
	assert_int_equal(char_at(t, 0, 199), 'z');
	assert_int_equal(terminal_resize(t, 100000, 0), 0);
	terminal_feed(t, "\033[999;999Hx\n\n", 13);
	terminal_free(t);
}

/* A stream of everything that both models know, from a small generator of its own. Not
 * in it: where libvterm differs from terminals (the cursor leaves a scroll region, inserting and
 * overwriting of wide characters). */
static uint64_t random_state;

static unsigned pick(unsigned n)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)((random_state >> 33) % n);
}

static size_t one_piece(char *p, size_t size, bool regions)
{
	static const char *const plain[] = {
		"word ",	"x",
		"\r\n",		"\n",
		"\r",		"\b",
		"\t",		"a longer piece of text, as programs print",
		"\033[K",	"\033[1K",
		"\033[J",	"\033[2J",
		"\033[H",	"\033M",
		"\033D",	"\033E",
		"\033[m",	"\033[1m",
		"\033[4m",	"\033[7m",
		"\033[3;5;9m",	"\033[22;24m",
		"\033[39;49m",	"\0337",
		"\0338",	"\033[?25l",
		"\033[?25h",	"\033(0lqk\033(B",
		"\033[?7l",	"\033[?7h",
		"\xe2\x94\x80", "\xc3\xa9",
		"\033H",
	};
	static const char *const counted[] = {
		"\033[%uA",	     "\033[%uB",  "\033[%uC",  "\033[%uD",	"\033[%uG",
		"\033[%ud",	     "\033[%u@",  "\033[%uP",  "\033[%uX",	"\033[%uL\r",
		"\033[%uM\r",	     "\033[%uS",  "\033[%uT",  "\033[%uE",	"\033[%uF",
		"\033[3%um",	     "\033[4%um", "\033[9%um", "\033[38;5;%um", "\033[48;5;1%um",
		"\033[38;2;%u;2;3m",
	};

	switch (pick(3)) {
	case 0:
		return (size_t)snprintf(p, size, "%s", plain[pick(ARRAY_SIZE(plain))]);
	case 1:
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		return (size_t)snprintf(p, size, counted[pick(ARRAY_SIZE(counted))], 1 + pick(7));
#pragma GCC diagnostic pop
	default:
		if (regions && pick(8) == 0) {
			unsigned top = 1 + pick(10);

			return (size_t)snprintf(p, size, "\033[%u;%ur", top, top + 1 + pick(10));
		}
		return (size_t)snprintf(p, size, "\033[%u;%uH", 1 + pick(24), 1 + pick(80));
	}
}

static void snapshot_at_any_byte(void **state)
{
	static const char *const more[] = {
		"\033[?1049h",
		"\033[?1049l",
		"\033[?6h",
		"\033[?6l",
		"\033[3g",
		"\016",
		"\017",
		"\033)0",
		"\033[r",
		"\033[4h",
		"\033[4l",
		"\033[?1h\033=",
		"\033[?1000;1006h",
		"\033[3 q",
		"\033[!p",
		"\033]0;title\033\\",
		"e\xcc\x81",
		"\xe4\xb8\xad",
		"\xf0\x9f\x98\x80",
	};

	for (unsigned round = 0; round < 60; round++) {
		struct terminal *t = terminal(24, 80);
		char text[4096];
		size_t len = 0, at;

		random_state = round;
		while (len < sizeof(text) - 200) {
			len += pick(6) ? one_piece(text + len, 100, true)
				       : (size_t)snprintf(text + len, 100, "%s",
							  more[pick(ARRAY_SIZE(more))]);
		}
		at = pick((unsigned)len);
		terminal_feed(t, text, at);
		{
			struct terminal *second = late(t);

			assert_same(t, second);
			terminal_feed(t, text + at, len - at);
			terminal_feed(second, text + at, len - at);
			assert_same(t, second);
			terminal_free(second);
		}
		terminal_free(t);
	}
}

/* The referee */

struct referee {
	VTerm *vt;
	VTermScreen *screen;
};

static struct referee referee_new(unsigned rows, unsigned columns)
{
	struct referee r = { .vt = vterm_new((int)rows, (int)columns) };

	vterm_set_utf8(r.vt, true);
	r.screen = vterm_obtain_screen(r.vt);
	vterm_screen_enable_altscreen(r.screen, true);
	vterm_screen_reset(r.screen, true);
	return r;
}

static terminal_color color_of(const VTermColor *c)
{
	if (VTERM_COLOR_IS_DEFAULT_FG(c) || VTERM_COLOR_IS_DEFAULT_BG(c)) {
		return 0;
	}
	if (VTERM_COLOR_IS_INDEXED(c)) {
		return TERMINAL_COLOR_INDEX | c->indexed.idx;
	}
	return TERMINAL_COLOR_RGB | (uint32_t)c->rgb.red << 16 | (uint32_t)c->rgb.green << 8 |
	       c->rgb.blue;
}

static uint32_t attrs_of(const VTermScreenCellAttrs *a)
{
	return (a->bold ? TERMINAL_BOLD : 0) | (a->italic ? TERMINAL_ITALIC : 0) |
	       (a->underline ? TERMINAL_UNDERLINE : 0) | (a->blink ? TERMINAL_BLINK : 0) |
	       (a->reverse ? TERMINAL_REVERSE : 0) | (a->strike ? TERMINAL_STRIKE : 0);
}

/* `with_style`: on blanks libvterm keeps of the style what nobody can see. */
static void assert_referee_agrees(const struct referee *r, const struct terminal *t)
{
	unsigned rows, columns, row, column;
	VTermPos cursor;

	terminal_screen_size(t, &rows, &columns);
	for (row = 0; row < rows; row++) {
		for (column = 0; column < columns; column++) {
			const struct terminal_cell *ours = terminal_cell(t, row, column);
			VTermPos pos = { .row = (int)row, .col = (int)column };
			VTermScreenCell theirs;
			uint32_t c;

			if (ours->width == 0) {
				continue;
			}
			vterm_screen_get_cell(r->screen, pos, &theirs);
			c = theirs.chars[0] ? theirs.chars[0] : ' ';
			if (c != char_at(t, row, column)) {
				fail_msg("row %u, column %u: U+%04X, the referee has U+%04X", row,
					 column, char_at(t, row, column), c);
			}
			assert_int_equal(color_of(&theirs.bg), ours->style.bg);
			if (c != ' ') {
				assert_int_equal(color_of(&theirs.fg), ours->style.fg);
				assert_int_equal(attrs_of(&theirs.attrs), ours->style.attrs);
			}
		}
	}
	vterm_state_get_cursorpos(vterm_obtain_state(r->vt), &cursor);
	terminal_cursor(t, &row, &column);
	assert_int_equal(cursor.row, row);
	assert_int_equal(cursor.col, column);
}

static void referee_sees_the_same(void **state)
{
	for (unsigned round = 0; round < 200; round++) {
		struct referee direct = referee_new(24, 80), of_snapshot = referee_new(24, 80);
		struct terminal *t = terminal(24, 80);
		struct buf out;

		random_state = 1000 + round;
		/* libvterm restores what was never saved, black on black. */
		vterm_input_write(direct.vt, "\0337", 2);
		for (unsigned i = 0; i < 120; i++) {
			char text[128];
			size_t len = one_piece(text, sizeof(text), false);
			unsigned row, column;

			/* Terminals agree on how a full line goes on with a character, and on
			 * nothing else about it. */
			terminal_cursor(t, &row, &column);
			if (column == 79 && text[0] == '\033') {
				terminal_feed(t, "\r", 1);
				vterm_input_write(direct.vt, "\r", 1);
			}

			terminal_feed(t, text, len);
			vterm_input_write(direct.vt, text, len);
		}
		assert_referee_agrees(&direct, t);
		buf_init(&out, TERMINAL_SNAPSHOT_MAX);
		assert_int_equal(terminal_snapshot(t, &out), 0);
		vterm_input_write(of_snapshot.vt, (char *)buf_data(&out), buf_len(&out));
		assert_referee_agrees(&of_snapshot, t);
		buf_fini(&out);
		vterm_free(direct.vt);
		vterm_free(of_snapshot.vt);
		terminal_free(t);
	}
}

/* The most that a screen can need: every cell in colours of its own, with all that combines. */
static void snapshot_is_bounded(void **state)
{
	struct terminal *t = terminal(TERMINAL_ROWS_MAX, TERMINAL_COLUMNS_MAX);
	struct terminal *second;
	struct buf out;

	for (unsigned screen = 0; screen < 2; screen++) {
		for (unsigned i = 0; i < TERMINAL_ROWS_MAX * TERMINAL_COLUMNS_MAX - 1; i++) {
			char text[128];
			int n = snprintf(text, sizeof(text),
					 "\033[1;3;4;5;7;9;38;2;%u;2;255;48;2;255;%u;255m"
					 "\xf0\xa0\x80\xb1\xcc\x81\xcc\x82"
					 "A\xcc\x81",
					 i % 256, i / 256);

			terminal_feed(t, text, (size_t)n);
		}
		if (screen == 0) {
			say(t, "\033[?1049h\033[H");
		}
	}
	buf_init(&out, 16 * TERMINAL_SNAPSHOT_MAX);
	assert_int_equal(terminal_snapshot(t, &out), 0);
	assert_in_range(buf_len(&out), 1, TERMINAL_SNAPSHOT_MAX);
	second = terminal(TERMINAL_ROWS_MAX, TERMINAL_COLUMNS_MAX);
	terminal_feed(second, buf_data(&out), buf_len(&out));
	for (unsigned row = 0; row < TERMINAL_ROWS_MAX; row++) {
		for (unsigned column = 0; column < TERMINAL_COLUMNS_MAX; column++) {
			assert_int_equal(char_at(t, row, column), char_at(second, row, column));
		}
	}
	buf_fini(&out);
	terminal_free(t);
	terminal_free(second);
}

/* What would make a careless model grow, count or run beyond its cells. Each is repeated to 16 MiB.
 */
static void hostile_bytes_take_no_memory(void **state)
{
	static const char *const hostile[] = {
		"\033[",
		";",
		"\033[;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;m",
		"9",
		"\033]0;",
		"\033P",
		"\xcc\x81",
		"\xf0",
		"\033[99999999999999999999b",
		"x\033[65535b",
		"\033[99999;99999H\033[99999@\033[99999P\033[99999X",
		"\033[99999L\033[99999M\033[99999S",
		"\033#8\033[41m\033[J",
		"\033[?1049h\033[?1049l\0337\0338",
		"\033H\033[99999I\033[99999Z",
		"\033[2;1r\033[99999;0r\033[?6h\033[A\033[B",
		"\033[38;2m\033[38;5m\033[38m\033[48:2:1m",
	};
	struct terminal *t = terminal(TERMINAL_ROWS, TERMINAL_COLUMNS);
	size_t before = mallinfo2().uordblks;

	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
		char block[4096];
		size_t len = 0, step = strlen(hostile[i]);

		while (len + step <= sizeof(block)) {
			memcpy(block + len, hostile[i], step);
			len += step;
		}
		for (size_t fed = 0; fed < 1 << 20; fed += len) {
			terminal_feed(t, block, len);
		}
		assert_int_equal(mallinfo2().uordblks, before);
	}
	/* and it is still a terminal */
	terminal_gap(t);
	say(t, "\033cgood");
	assert_row(t, 0, "good");
	terminal_free(t);
}

/* Lines of a program that prints as fast as it can. */
static size_t flood(char *to, size_t size)
{
	static const char *const ends[] = { "\r\n", "\r\n", "\n", "\n\r", "\r", "\t", "\b" };
	unsigned kind = pick(3);
	size_t len = 0;

	while (len + 300 < size) {
		unsigned n = pick(4) ? pick(10) : pick(200);
		const char *end = kind == 0 || (kind == 1 && pick(16) == 0) ? "\r\n" : "\n";

		for (unsigned i = 0; i < n; i++) {
			to[len++] = (char)(0x20 + pick(0x7f - 0x20));
		}
		len += (size_t)sprintf(to + len, "%s",
				       kind == 2 ? ends[pick(ARRAY_SIZE(ends))] : end);
	}
	return len;
}

static void feed_both(struct terminal *t, struct terminal *each, const char *text, size_t len)
{
	terminal_feed(t, text, len);
	for (size_t i = 0; i < len; i++) {
		terminal_feed(each, text + i, 1);
	}
	assert_same(t, each);
}

/* What comes in one piece is not all written into cells: no byte by itself is ever left out. */
static void flood_shows_what_its_bytes_do(void **state)
{
	static const char *const before[] = {
		"",	    "\033[5;20r", "\033[41m\033[2J", "\033[4h",
		"\033[?7l", "\033[20h",	  "\033[?1049h",     "\033[?6h",
		"\0337",    "\033[3;70H", "\033[10;200H",    "\xe4\xb8",
		"\033[3",   "\033]0;",	  "\016\033)0",
	};

	for (unsigned round = 0; round < 400; round++) {
		unsigned rows = 2 + pick(30);
		struct terminal *t = terminal(rows, 80), *each = terminal(rows, 80);
		char text[8192];
		size_t len = 0;

		random_state = 5000 + round;
		for (unsigned part = 0; part < 3; part++) {
			len += (size_t)sprintf(text + len, "%s", before[pick(ARRAY_SIZE(before))]);
			len += flood(text + len,
				     MIN((size_t)1 + pick(6000), sizeof(text) - len - 64));
		}
		feed_both(t, each, text, len);
		feed_both(t, each, "\033[3b", 4);
		terminal_free(t);
		terminal_free(each);
	}
	for (unsigned lines = 0; lines < 50; lines++) {
		struct terminal *t = terminal(10, 80), *each = terminal(10, 80);
		char text[512];
		size_t len = 0;

		/* in rows below the cursor, which a line feed does not empty */
		say(t, "\033[9;20Hold\033[10;20Hold\033[H");
		say(each, "\033[9;20Hold\033[10;20Hold\033[H");
		for (unsigned i = 0; i < lines; i++) {
			len += (size_t)sprintf(text + len, "line %u\r\n", i);
		}
		feed_both(t, each, text, len);
		terminal_free(t);
		terminal_free(each);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_and_wrapping),
		cmocka_unit_test(editing),
		cmocka_unit_test(scroll_region_and_origin),
		cmocka_unit_test(colours_and_attributes),
		cmocka_unit_test(wide_and_combining),
		cmocka_unit_test(line_drawing),
		cmocka_unit_test(alternate_screen),
		cmocka_unit_test(strings_are_read_over),
		cmocka_unit_test(gap_ends_what_was_begun),
		cmocka_unit_test(resized),
		cmocka_unit_test(snapshot_at_any_byte),
		cmocka_unit_test(referee_sees_the_same),
		cmocka_unit_test(snapshot_is_bounded),
		cmocka_unit_test(hostile_bytes_take_no_memory),
		cmocka_unit_test(flood_shows_what_its_bytes_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
