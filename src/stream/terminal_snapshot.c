/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A terminal's screen as the bytes that make another terminal show it.
 *
 * Theory of operation: first what could disturb the drawing is brought to where it begins; then the
 * main screen is drawn, the alternate one after it where that is shown; then, in the order in which
 * one does not undo the other: tab stops, saved position, position, modes, and the head of what was
 * not whole yet. Only what every terminal knows is used for what every program uses.
 */
#include <errno.h>
#include <string.h>

#include "terminal_private.h"

enum detail {
	DETAIL_ALL,
	DETAIL_SHOWN,	   /* not the screen behind the alternate one */
	DETAIL_CHARACTERS, /* no colours, nothing that combines */
	_DETAIL_MAX,
};

struct writer {
	struct buf *out;
	enum detail detail;
	int err;
	struct terminal_style style; /* the reader's terminal's now */
};

static const struct terminal_style plain;

static void put(struct writer *w, const void *p, size_t len)
{
	if (w->err == 0) {
		w->err = buf_append(w->out, p, len);
	}
}

static void put_text(struct writer *w, const char *text)
{
	put(w, text, strlen(text));
}

#define put_format(w, ...)                                                                         \
	do {                                                                                       \
		if ((w)->err == 0) {                                                               \
			(w)->err = buf_printf((w)->out, __VA_ARGS__);                              \
		}                                                                                  \
	} while (0)

static void put_style(struct writer *w, const struct terminal_style *style)
{
	char text[TERMINAL_STYLE_TEXT_MAX];

	if (terminal_style_equal(&w->style, style)) {
		return;
	}
	put(w, text, terminal_style_write(style, text));
	w->style = *style;
}

static void put_char(struct writer *w, uint32_t c)
{
	uint8_t p[UTF8_MAX];
	size_t n = 0;

	if (c < 0x80) {
		p[n++] = c ? (uint8_t)c : ' ';
	} else if (c < 0x800) {
		p[n++] = (uint8_t)(0xc0 | c >> 6);
	} else if (c < 0x10000) {
		p[n++] = (uint8_t)(0xe0 | c >> 12);
		p[n++] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
	} else {
		p[n++] = (uint8_t)(0xf0 | c >> 18);
		p[n++] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
		p[n++] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
	}
	if (c >= 0x80) {
		p[n++] = (uint8_t)(0x80 | (c & 0x3f));
	}
	put(w, p, n);
}

static void put_cell(struct writer *w, const struct terminal_cell *cell)
{
	if (w->detail < DETAIL_CHARACTERS) {
		put_style(w, &cell->style);
	}
	put_char(w, cell->chars[0]);
	for (unsigned i = 1; i < TERMINAL_CELL_CHARS && w->detail < DETAIL_CHARACTERS; i++) {
		if (cell->chars[i]) {
			put_char(w, cell->chars[i]);
		}
	}
}

static bool is_blank(const struct terminal_cell *cell)
{
	return (cell->chars[0] == 0 || cell->chars[0] == ' ') && cell->chars[1] == 0 &&
	       cell->width == 1 && terminal_style_equal(&cell->style, &plain);
}

static void put_row(struct writer *w, const struct terminal_grid *g, unsigned row)
{
	unsigned end = g->n_columns;
	bool there = false;

	while (end > 0 && is_blank(terminal_grid_cell(g, row, end - 1))) {
		end--;
	}
	for (unsigned column = 0; column < end; column++) {
		const struct terminal_cell *cell = terminal_grid_cell(g, row, column);

		if (cell->width == 0) {
			continue;
		}
		if (column == 0) {
			put_format(w, "\033[%uH", row + 1);
		} else if (!there) {
			put_format(w, "\033[%uG", column + 1);
		}
		put_cell(w, cell);
		/* Terminals differ in what they believe to be wide, and in what combines. */
		there = cell->width == 1 && (cell->chars[1] == 0 || w->detail >= DETAIL_CHARACTERS);
	}
}

static void put_screen(struct writer *w, const struct terminal_screen *s)
{
	for (unsigned row = 0; row < s->grid.n_rows; row++) {
		put_row(w, &s->grid, row);
	}
}

static void put_mode(struct writer *w, enum terminal_mode mode, bool on)
{
	const struct terminal_mode_info *m = &terminal_modes[mode];

	if (mode == TERMINAL_MODE_KEYPAD) {
		put_text(w, on ? "\033=" : "\033>");
	} else if (m->leader) {
		put_format(w, "\033[%c%u%c", m->leader, m->number, on ? 'h' : 'l');
	} else {
		put_format(w, "\033[%u%c", m->number, on ? 'h' : 'l');
	}
}

/* Makes the reader's terminal's position this one, with all that is saved with a position. */
static void put_position(struct writer *w, const struct terminal *t,
			 const struct terminal_position *at)
{
	unsigned row = at->row, last = t->screen->grid.n_columns - 1;

	put_mode(w, TERMINAL_MODE_ORIGIN, at->origin);
	if (at->origin) {
		row -= t->top;
	}
	if (at->wrap) {
		/* Only the writing of the last column makes it. */
		const struct terminal_grid *g = &t->screen->grid;
		unsigned half = terminal_grid_cell(g, at->row, last)->width == 0;

		put_format(w, "\033[%u;%uH", row + 1, last - half + 1);
		put_cell(w, terminal_grid_cell(g, at->row, last - half));
	} else {
		put_format(w, "\033[%u;%uH", row + 1, at->column + 1);
	}
	put_style(w, &at->style);
	for (unsigned i = 0; i < TERMINAL_CHARSETS; i++) {
		put_format(w, "\033%c%c", '(' + i, at->charsets[i]);
	}
	switch (at->charset) {
	case 2:
		put_text(w, "\033n");
		break;
	case 3:
		put_text(w, "\033o");
		break;
	default:
		put_text(w, at->charset ? "\016" : "\017");
		break;
	}
}

static void put_tabs(struct writer *w, const struct terminal *t)
{
	unsigned n_columns = t->screen->grid.n_columns;
	bool initial = true;

	for (unsigned i = 0; i < n_columns; i++) {
		initial = initial && t->tabs[i] == terminal_tab_initial(i);
	}
	if (initial) {
		return;
	}
	put_text(w, "\033[3g");
	for (unsigned i = 0; i < n_columns; i++) {
		if (t->tabs[i]) {
			put_format(w, "\033[%uG\033H", i + 1);
		}
	}
}

/* To where every drawing begins, whatever the reader's terminal was used for before. */
static void put_start(struct writer *w)
{
	put_text(w, "\033[!p\033[4l\033[20l\033[?6l\033[?7h\033[?25h\033[r\033(B\033)B\017\033[0m"
		    "\033[H\033[2J");
}

/* Many terminals have one saved position for both screens, and that is the main one's then. */
static bool position_initial(const struct terminal_position *at)
{
	bool ascii = true;

	for (unsigned i = 0; i < TERMINAL_CHARSETS; i++) {
		ascii = ascii && at->charsets[i] == 'B';
	}
	return ascii && at->charset == 0 && at->row == 0 && at->column == 0 && !at->wrap &&
	       !at->origin && terminal_style_equal(&at->style, &plain);
}

static void put_modes(struct writer *w, const struct terminal *t)
{
	for (unsigned i = 0; i < _TERMINAL_MODE_MAX; i++) {
		if (i != TERMINAL_MODE_ORIGIN && t->modes[i] != terminal_modes[i].initial) {
			put_mode(w, (enum terminal_mode)i, t->modes[i]);
		}
	}
	if (t->cursor_style) {
		put_format(w, "\033[%u q", t->cursor_style);
	}
}

static int snapshot(const struct terminal *t, enum detail detail, struct buf *out)
{
	const struct terminal_screen *main_screen = &t->screens[0], *alternate = &t->screens[1];
	struct writer w = { .out = out, .detail = detail };

	put_start(&w);
	if (t->top != 0 || t->end != t->screen->grid.n_rows) {
		put_format(&w, "\033[%u;%ur", t->top + 1, t->end);
	}
	if (t->screen == main_screen || detail < DETAIL_SHOWN) {
		put_screen(&w, main_screen);
	}
	if (t->screen == alternate) {
		struct terminal_position at = main_screen->saved;

		/* Entering it saves the position, for the return. */
		at.wrap = false;
		put_position(&w, t, &at);
		put_text(&w, "\033[?1049h\033[?6l\033(B\017");
		put_style(&w, &plain);
		put_text(&w, "\033[H\033[2J");
		put_screen(&w, alternate);
	}
	put_tabs(&w, t);
	put_text(&w, "\033(B\017");
	if (!position_initial(&t->screen->saved)) {
		put_position(&w, t, &t->screen->saved);
		put_text(&w, "\0337\033(B\017");
	}
	put_position(&w, t, &t->at);
	put_modes(&w, t);
	put(&w, t->parser.pending, t->parser.pending_len);
	put(&w, t->parser.utf8, t->parser.utf8_len);
	return w.err;
}

int terminal_snapshot(const struct terminal *t, struct buf *out)
{
	size_t before = buf_len(out), max_bytes = out->max_bytes;
	int err = -ENOBUFS;

	out->max_bytes = MIN(max_bytes, before + TERMINAL_SNAPSHOT_MAX);
	for (unsigned detail = 0; err == -ENOBUFS && detail < _DETAIL_MAX; detail++) {
		buf_truncate(out, before);
		err = snapshot(t, (enum detail)detail, out);
	}
	if (err < 0) {
		buf_truncate(out, before);
	}
	out->max_bytes = max_bytes;
	return err;
}
