/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A terminal model. See terminal.h.
 *
 * Theory of operation: the parser calls one function for each character, control and sequence; it
 * changes the position, the modes and the cells of one grid, and is over. No sequence makes more
 * work than the screen has cells: every count is cut to the size of what it counts first.
 */
#include "terminal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "char_width.h"
#include "terminal_flood.h"
#include "terminal_private.h"

const struct terminal_mode_info terminal_modes[_TERMINAL_MODE_MAX] = {
	[TERMINAL_MODE_INSERT] = { 0, 4, false },
	[TERMINAL_MODE_NEWLINE] = { 0, 20, false },
	[TERMINAL_MODE_CURSOR_KEYS] = { '?', 1, false },
	[TERMINAL_MODE_REVERSE_SCREEN] = { '?', 5, false },
	[TERMINAL_MODE_ORIGIN] = { '?', 6, false },
	[TERMINAL_MODE_AUTOWRAP] = { '?', 7, true },
	[TERMINAL_MODE_MOUSE_X10] = { '?', 9, false },
	[TERMINAL_MODE_CURSOR_VISIBLE] = { '?', 25, true },
	[TERMINAL_MODE_KEYPAD] = { '?', 66, false },
	[TERMINAL_MODE_MOUSE] = { '?', 1000, false },
	[TERMINAL_MODE_MOUSE_DRAG] = { '?', 1002, false },
	[TERMINAL_MODE_MOUSE_MOVE] = { '?', 1003, false },
	[TERMINAL_MODE_FOCUS] = { '?', 1004, false },
	[TERMINAL_MODE_MOUSE_UTF8] = { '?', 1005, false },
	[TERMINAL_MODE_MOUSE_SGR] = { '?', 1006, false },
	[TERMINAL_MODE_MOUSE_URXVT] = { '?', 1015, false },
	[TERMINAL_MODE_PASTE] = { '?', 2004, false },
};

static unsigned within(unsigned n, unsigned min, unsigned max)
{
	if (n < min) {
		return min;
	}
	return n > max ? max : n;
}

static struct terminal_grid *grid_of(struct terminal *t)
{
	return &t->screen->grid;
}

static unsigned n_rows(const struct terminal *t)
{
	return t->screen->grid.n_rows;
}

static unsigned n_columns(const struct terminal *t)
{
	return t->screen->grid.n_columns;
}

/* The first of a sequence's parameters, or any; 0 and none are 1. */
static unsigned count_of(const struct terminal_csi *csi, unsigned i)
{
	return i < csi->n_params && csi->params[i] ? csi->params[i] : 1;
}

static unsigned param_of(const struct terminal_csi *csi, unsigned i)
{
	return i < csi->n_params ? csi->params[i] : 0;
}

/* Positions */

static void position_init(struct terminal_position *at)
{
	*at = (struct terminal_position){ .charsets = { 'B', 'B', 'B', 'B' } };
}

/* Row and column are held within the screen, and the row within the region where it counts from
 * there. */
static void move_to(struct terminal *t, unsigned row, unsigned column)
{
	unsigned first = t->at.origin ? t->top : 0;
	unsigned end = t->at.origin ? t->end : n_rows(t);

	t->at.row = MIN(row + first, end - 1);
	t->at.column = MIN(column, n_columns(t) - 1);
	t->at.wrap = false;
}

static void move_column(struct terminal *t, unsigned column)
{
	t->at.column = MIN(column, n_columns(t) - 1);
	t->at.wrap = false;
}

/* A cursor within the region does not leave it this way. */
static void move_up(struct terminal *t, unsigned n)
{
	unsigned first = t->at.row >= t->top ? t->top : 0;

	t->at.row -= MIN(n, t->at.row - first);
	t->at.wrap = false;
}

static void move_down(struct terminal *t, unsigned n)
{
	unsigned last = t->at.row < t->end ? t->end - 1 : n_rows(t) - 1;

	t->at.row += MIN(n, last - t->at.row);
	t->at.wrap = false;
}

static void line_feed(struct terminal *t)
{
	if (t->at.row == t->end - 1) {
		terminal_grid_scroll(grid_of(t), t->top, t->end, 1, &t->at.style);
	} else if (t->at.row < n_rows(t) - 1) {
		t->at.row++;
	}
	t->at.wrap = false;
}

static void line_feed_reverse(struct terminal *t)
{
	if (t->at.row == t->top) {
		terminal_grid_scroll(grid_of(t), t->top, t->end, -1, &t->at.style);
	} else if (t->at.row > 0) {
		t->at.row--;
	}
	t->at.wrap = false;
}

static void tab_forward(struct terminal *t, unsigned n)
{
	while (n > 0 && t->at.column < n_columns(t) - 1) {
		t->at.column++;
		n -= t->tabs[t->at.column];
	}
	t->at.wrap = false;
}

static void tab_back(struct terminal *t, unsigned n)
{
	while (n > 0 && t->at.column > 0) {
		t->at.column--;
		n -= t->tabs[t->at.column];
	}
	t->at.wrap = false;
}

static void tabs_init(struct terminal *t)
{
	for (unsigned i = 0; i < ARRAY_SIZE(t->tabs); i++) {
		t->tabs[i] = terminal_tab_initial(i);
	}
}

/* One that counts from the region stays within it. */
static void position_hold(struct terminal *t, struct terminal_position *at)
{
	if (at->origin) {
		at->row = within(at->row, t->top, t->end - 1);
	}
}

static void position_save(struct terminal *t)
{
	t->screen->saved = t->at;
}

static void position_restore(struct terminal *t)
{
	t->at = t->screen->saved;
	t->at.wrap = t->at.wrap && t->modes[TERMINAL_MODE_AUTOWRAP];
}

/* Reset */

static void modes_init(struct terminal *t)
{
	for (unsigned i = 0; i < _TERMINAL_MODE_MAX; i++) {
		t->modes[i] = terminal_modes[i].initial;
	}
	t->at.origin = false;
}

/* Of everything but what is on the screen, and where on it we are. */
static void reset_soft(struct terminal *t)
{
	unsigned row = t->at.row, column = t->at.column;

	modes_init(t);
	position_init(&t->at);
	t->at.row = row;
	t->at.column = column;
	position_init(&t->screen->saved);
	t->top = 0;
	t->end = n_rows(t);
}

static void reset_hard(struct terminal *t)
{
	const struct terminal_style plain = { 0 };

	for (unsigned i = 0; i < ARRAY_SIZE(t->screens); i++) {
		position_init(&t->screens[i].saved);
		terminal_grid_erase_rows(&t->screens[i].grid, 0, t->screens[i].grid.n_rows, &plain);
	}
	t->screen = &t->screens[0];
	t->cursor_style = 0;
	tabs_init(t);
	reset_soft(t);
	move_to(t, 0, 0);
}

/* Characters */

static uint32_t line_drawing(uint32_t c)
{
	static const uint16_t drawn[] = {
		0x00a0, 0x25c6, 0x2592, 0x2409, 0x240c, 0x240d, 0x240a, 0x00b0,
		0x00b1, 0x2424, 0x240b, 0x2518, 0x2510, 0x250c, 0x2514, 0x253c,
		0x23ba, 0x23bb, 0x2500, 0x23bc, 0x23bd, 0x251c, 0x2524, 0x2534,
		0x252c, 0x2502, 0x2264, 0x2265, 0x03c0, 0x2260, 0x00a3, 0x00b7,
	};

	return c >= 0x5f && c <= 0x7e ? drawn[c - 0x5f] : c;
}

/* Past what was written. */
static void advance(struct terminal *t, unsigned n)
{
	t->at.column += n;
	if (t->at.column >= n_columns(t)) {
		t->at.column = n_columns(t) - 1;
		t->at.wrap = t->modes[TERMINAL_MODE_AUTOWRAP];
	}
}

static void put(struct terminal *t, uint32_t c, unsigned width)
{
	if (t->at.wrap) {
		move_column(t, 0);
		line_feed(t);
	}
	if (t->at.column + width > n_columns(t)) {
		if (t->modes[TERMINAL_MODE_AUTOWRAP]) {
			move_column(t, 0);
			line_feed(t);
		} else {
			t->at.column = n_columns(t) - width;
		}
	}
	if (t->modes[TERMINAL_MODE_INSERT]) {
		terminal_grid_insert(grid_of(t), t->at.row, t->at.column, width, &t->at.style);
	}
	terminal_grid_put(grid_of(t), t->at.row, t->at.column, c, width, &t->at.style);
	advance(t, width);
}

static void on_print(uint32_t c, void *user)
{
	struct terminal *t = user;
	unsigned width;

	if (t->at.charsets[t->at.charset] == '0') {
		c = line_drawing(c);
	}
	width = char_width(c);
	if (width > 0) {
		put(t, c, width);
		t->last = c;
	} else if (t->at.wrap) {
		terminal_grid_combine(grid_of(t), t->at.row, t->at.column, c);
	} else if (t->at.column > 0) {
		terminal_grid_combine(grid_of(t), t->at.row, t->at.column - 1, c);
	}
}

static void on_text(const uint8_t *p, size_t len, void *user)
{
	struct terminal *t = user;

	while (len > 0) {
		unsigned n = (unsigned)MIN(len, (size_t)(n_columns(t) - t->at.column));

		if (t->at.wrap || t->modes[TERMINAL_MODE_INSERT] ||
		    t->at.charsets[t->at.charset] == '0') {
			on_print(*p, t);
			n = 1;
		} else {
			terminal_grid_put_text(grid_of(t), t->at.row, t->at.column, p, n,
					       &t->at.style);
			t->last = p[n - 1];
			advance(t, n);
		}
		p += n;
		len -= n;
	}
}

static void on_control(uint8_t c, void *user)
{
	struct terminal *t = user;

	t->last = 0;
	switch (c) {
	case '\b':
		move_column(t, t->at.column > 0 ? t->at.column - 1 : 0);
		break;
	case '\t':
		tab_forward(t, 1);
		break;
	case '\n':
	case '\v':
	case '\f':
		line_feed(t);
		if (t->modes[TERMINAL_MODE_NEWLINE]) {
			move_column(t, 0);
		}
		break;
	case '\r':
		move_column(t, 0);
		break;
	case 0x0e:
	case 0x0f:
		t->at.charset = c == 0x0e;
		break;
	default:
		break;
	}
}

/* Erasing */

static void erase_in_line(struct terminal *t, unsigned what)
{
	unsigned first = what == 0 ? t->at.column : 0;
	unsigned end = what == 1 ? t->at.column + 1 : n_columns(t);

	if (what <= 2) {
		terminal_grid_erase(grid_of(t), t->at.row, first, end, &t->at.style);
		t->at.wrap = false;
	}
}

static void erase_in_display(struct terminal *t, unsigned what)
{
	if (what == 0) {
		erase_in_line(t, 0);
		terminal_grid_erase_rows(grid_of(t), t->at.row + 1, n_rows(t), &t->at.style);
	} else if (what == 1) {
		terminal_grid_erase_rows(grid_of(t), 0, t->at.row, &t->at.style);
		erase_in_line(t, 1);
	} else if (what == 2) {
		terminal_grid_erase_rows(grid_of(t), 0, n_rows(t), &t->at.style);
		t->at.wrap = false;
	}
}

/* DECALN: the screen full of E, for adjusting tubes. */
static void fill(struct terminal *t)
{
	t->top = 0;
	t->end = n_rows(t);
	terminal_grid_fill(grid_of(t), 'E');
	t->at.origin = false;
	move_to(t, 0, 0);
}

static void lines_insert(struct terminal *t, int by)
{
	if (t->at.row >= t->top && t->at.row < t->end) {
		terminal_grid_scroll(grid_of(t), t->at.row, t->end, by, &t->at.style);
		move_column(t, 0);
	}
}

static void region_set(struct terminal *t, const struct terminal_csi *csi)
{
	unsigned top = count_of(csi, 0), end = param_of(csi, 1);

	if (end == 0 || end > n_rows(t)) {
		end = n_rows(t);
	}
	if (top >= end) {
		return;
	}
	t->top = top - 1;
	t->end = end;
	move_to(t, 0, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(t->screens); i++) {
		position_hold(t, &t->screens[i].saved);
	}
}

/* Modes */

/* The alternate screen begins anew whenever it is entered. */
static void screen_mode(struct terminal *t, unsigned mode, bool on)
{
	struct terminal_screen *to = &t->screens[on];

	if (t->screen != to) {
		if (mode == 1049 && on) {
			position_save(t);
		}
		t->screen = to;
		t->at.wrap = false;
		if (on) {
			position_init(&to->saved);
			terminal_grid_erase_rows(&to->grid, 0, to->grid.n_rows, &t->at.style);
		}
	}
	if (mode == 1049 && !on) {
		position_restore(t);
	}
}

static void mode_set(struct terminal *t, char leader, unsigned number, bool on)
{
	if (leader == '?' && (number == 47 || number == 1047 || number == 1049)) {
		screen_mode(t, number, on);
		return;
	}
	if (leader == '?' && number == 1048) {
		if (on) {
			position_save(t);
		} else {
			position_restore(t);
		}
		return;
	}
	for (unsigned i = 0; i < _TERMINAL_MODE_MAX; i++) {
		if (terminal_modes[i].leader != leader || terminal_modes[i].number != number) {
			continue;
		}
		if (i == TERMINAL_MODE_ORIGIN) {
			t->at.origin = on;
			move_to(t, 0, 0);
			continue;
		}
		t->modes[i] = on;
		if (i == TERMINAL_MODE_AUTOWRAP && !on) {
			t->at.wrap = false;
		}
	}
}

static void modes_set(struct terminal *t, const struct terminal_csi *csi)
{
	for (unsigned i = 0; i < csi->n_params; i++) {
		mode_set(t, csi->leader, csi->params[i], csi->final == 'h');
	}
}

static void on_escape(char intermediate, char final, void *user)
{
	struct terminal *t = user;

	t->last = 0;
	if (intermediate >= '(' && intermediate <= '+') {
		/* What else there is differs from ASCII in a letter or two. */
		t->at.charsets[intermediate - '('] = final == '0' ? '0' : 'B';
	} else if (intermediate == '#' && final == '8') {
		fill(t);
	}
	if (intermediate != 0) {
		return;
	}
	switch (final) {
	case '7':
		position_save(t);
		break;
	case '8':
		position_restore(t);
		break;
	case '=':
	case '>':
		t->modes[TERMINAL_MODE_KEYPAD] = final == '=';
		break;
	case 'D':
		line_feed(t);
		break;
	case 'E':
		line_feed(t);
		move_column(t, 0);
		break;
	case 'H':
		t->tabs[t->at.column] = true;
		break;
	case 'M':
		line_feed_reverse(t);
		break;
	case 'c':
		reset_hard(t);
		break;
	case 'n':
	case 'o':
		t->at.charset = final == 'n' ? 2 : 3;
		break;
	default:
		break;
	}
}

static void repeat(struct terminal *t, uint32_t c, unsigned n)
{
	/* No program repeats beyond the line. */
	n = MIN(n, n_columns(t));
	while (c != 0 && n-- > 0) {
		put(t, c, char_width(c));
	}
}

static void tabs_clear(struct terminal *t, unsigned what)
{
	if (what == 0) {
		t->tabs[t->at.column] = false;
	} else if (what == 3) {
		memset(t->tabs, 0, sizeof(t->tabs));
	}
}

/* Sequences without leader and intermediate. */
static void csi_plain(struct terminal *t, const struct terminal_csi *csi, uint32_t last)
{
	unsigned n = count_of(csi, 0), row = t->at.row, column = t->at.column;
	int lines = (int)MIN(n, n_rows(t));

	switch (csi->final) {
	case '@':
		terminal_grid_insert(grid_of(t), row, column, n, &t->at.style);
		t->at.wrap = false;
		break;
	case 'A':
		move_up(t, n);
		break;
	case 'B':
	case 'e':
		move_down(t, n);
		break;
	case 'C':
	case 'a':
		move_column(t, column + n);
		break;
	case 'D':
		move_column(t, column - MIN(n, column));
		break;
	case 'E':
		move_down(t, n);
		move_column(t, 0);
		break;
	case 'F':
		move_up(t, n);
		move_column(t, 0);
		break;
	case 'G':
	case '`':
		move_column(t, n - 1);
		break;
	case 'H':
	case 'f':
		move_to(t, n - 1, count_of(csi, 1) - 1);
		break;
	case 'I':
		tab_forward(t, n);
		break;
	case 'L':
		lines_insert(t, -lines);
		break;
	case 'M':
		lines_insert(t, lines);
		break;
	case 'P':
		terminal_grid_delete(grid_of(t), row, column, n, &t->at.style);
		t->at.wrap = false;
		break;
	case 'S':
		terminal_grid_scroll(grid_of(t), t->top, t->end, lines, &t->at.style);
		break;
	case 'T':
		if (csi->n_params <= 1) {
			terminal_grid_scroll(grid_of(t), t->top, t->end, -lines, &t->at.style);
		}
		break;
	case 'X':
		terminal_grid_erase(grid_of(t), row, column, MIN(column + n, n_columns(t)),
				    &t->at.style);
		t->at.wrap = false;
		break;
	case 'Z':
		tab_back(t, n);
		break;
	case 'b':
		repeat(t, last, n);
		break;
	case 'd':
		move_to(t, n - 1, column);
		break;
	case 'g':
		tabs_clear(t, param_of(csi, 0));
		break;
	case 'm':
		terminal_style_apply(&t->at.style, csi);
		break;
	case 'r':
		region_set(t, csi);
		break;
	case 's':
		/* With parameters it sets margins to the left and right, which there are none of.
		 */
		if (csi->n_params == 0) {
			position_save(t);
		}
		break;
	case 'u':
		position_restore(t);
		break;
	default:
		break;
	}
}

static void on_csi(const struct terminal_csi *csi, void *user)
{
	struct terminal *t = user;
	uint32_t last = t->last;

	t->last = 0;
	if (csi->intermediate == ' ' && csi->leader == 0 && csi->final == 'q') {
		t->cursor_style = param_of(csi, 0) <= 6 ? (uint8_t)param_of(csi, 0) : 0;
	} else if (csi->intermediate == '!' && csi->leader == 0 && csi->final == 'p') {
		reset_soft(t);
	}
	if (csi->intermediate != 0 || (csi->leader != 0 && csi->leader != '?')) {
		return;
	}
	switch (csi->final) {
	case 'h':
	case 'l':
		modes_set(t, csi);
		break;
	case 'J':
		erase_in_display(t, param_of(csi, 0));
		break;
	case 'K':
		erase_in_line(t, param_of(csi, 0));
		break;
	default:
		if (csi->leader == 0) {
			csi_plain(t, csi, last);
		}
		break;
	}
}

static const struct terminal_parser_ops parser_ops = {
	.print = on_print,
	.text = on_text,
	.control = on_control,
	.escape = on_escape,
	.csi = on_csi,
};

int terminal_new(unsigned rows, unsigned columns, struct terminal **ret)
{
	struct terminal *t = calloc(1, sizeof(*t));

	if (!t) {
		return -ENOMEM;
	}
	rows = within(rows, 2, TERMINAL_ROWS_MAX);
	columns = within(columns, 2, TERMINAL_COLUMNS_MAX);
	for (unsigned i = 0; i < ARRAY_SIZE(t->screens); i++) {
		if (terminal_grid_init(&t->screens[i].grid, rows, columns) < 0) {
			terminal_free(t);
			return -ENOMEM;
		}
	}
	terminal_parser_init(&t->parser);
	reset_hard(t);
	*ret = t;
	return 0;
}

struct terminal *terminal_free(struct terminal *t)
{
	if (!t) {
		return NULL;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(t->screens); i++) {
		terminal_grid_fini(&t->screens[i].grid);
	}
	free(t);
	return NULL;
}

/* Within nothing that has been begun. */
static bool at_rest(const struct terminal *t)
{
	return t->parser.state == TERMINAL_GROUND && t->parser.utf8_len == 0;
}

void terminal_feed(struct terminal *t, const void *p, size_t len)
{
	const uint8_t *bytes = p;

	while (len > 0) {
		size_t n = 1, skip = 0;

		if (at_rest(t)) {
			n = terminal_flood_length(bytes, len);
			skip = terminal_flood_skip(t, bytes, n);
			n = MAX(n, (size_t)1);
		}
		terminal_parser_feed(&t->parser, bytes + skip, n - skip, &parser_ops, t);
		bytes += n;
		len -= n;
	}
}

void terminal_gap(struct terminal *t)
{
	terminal_parser_init(&t->parser);
	t->last = 0;
}

void terminal_forget(struct terminal *t)
{
	terminal_gap(t);
	reset_hard(t);
}

static void position_fit(struct terminal_position *at, unsigned first, unsigned rows,
			 unsigned columns)
{
	at->row = at->row < first ? 0 : MIN(at->row - first, rows - 1);
	at->column = MIN(at->column, columns - 1);
	at->wrap = false;
}

int terminal_resize(struct terminal *t, unsigned rows, unsigned columns)
{
	struct terminal_grid grids[2];
	unsigned first;
	int err;

	rows = within(rows, 2, TERMINAL_ROWS_MAX);
	columns = within(columns, 2, TERMINAL_COLUMNS_MAX);
	if (rows == n_rows(t) && columns == n_columns(t)) {
		return 0;
	}
	err = terminal_grid_init(&grids[0], rows, columns);
	if (err < 0) {
		return err;
	}
	err = terminal_grid_init(&grids[1], rows, columns);
	if (err < 0) {
		terminal_grid_fini(&grids[0]);
		return err;
	}
	first = t->at.row >= rows ? t->at.row - rows + 1 : 0;
	for (unsigned i = 0; i < ARRAY_SIZE(grids); i++) {
		terminal_grid_copy(&grids[i], &t->screens[i].grid, first);
		terminal_grid_fini(&t->screens[i].grid);
		t->screens[i].grid = grids[i];
		position_fit(&t->screens[i].saved, first, rows, columns);
	}
	t->top = 0;
	t->end = rows;
	position_fit(&t->at, first, rows, columns);
	return 0;
}

void terminal_screen_size(const struct terminal *t, unsigned *ret_rows, unsigned *ret_columns)
{
	*ret_rows = n_rows(t);
	*ret_columns = n_columns(t);
}

void terminal_cursor(const struct terminal *t, unsigned *ret_row, unsigned *ret_column)
{
	*ret_row = t->at.row;
	*ret_column = t->at.column;
}

const struct terminal_cell *terminal_cell(const struct terminal *t, unsigned row, unsigned column)
{
	return terminal_grid_cell(&t->screen->grid, row, column);
}
