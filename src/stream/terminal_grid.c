/* SPDX-License-Identifier: Apache-2.0 */
/* The cells of one screen. See terminal_grid.h. */
#include "terminal_grid.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct terminal_cell blank_cell(const struct terminal_style *style)
{
	return (struct terminal_cell){ .width = 1, .style = { .bg = style->bg } };
}

static void cells_fill(struct terminal_cell *cells, unsigned n, struct terminal_cell cell)
{
	for (unsigned i = 0; i < n; i++) {
		cells[i] = cell;
	}
}

/* The row's cells, to be written. */
static struct terminal_cell *row_cells(struct terminal_grid *g, unsigned row)
{
	struct terminal_row *r = g->rows[row];

	if (r->uniform) {
		cells_fill(r->cells, g->n_columns, r->all);
		r->uniform = false;
	}
	return r->cells;
}

static void row_fill(struct terminal_grid *g, unsigned row, struct terminal_cell cell)
{
	g->rows[row]->uniform = true;
	g->rows[row]->all = cell;
}

int terminal_grid_init(struct terminal_grid *g, unsigned n_rows, unsigned n_columns)
{
	const struct terminal_style plain = { 0 };

	*g = (struct terminal_grid){ .n_rows = n_rows, .n_columns = n_columns };
	g->cells = calloc((size_t)n_rows * n_columns, sizeof(*g->cells));
	g->memory = calloc(n_rows, sizeof(*g->memory));
	g->rows = calloc(n_rows, sizeof(*g->rows));
	if (!g->cells || !g->memory || !g->rows) {
		terminal_grid_fini(g);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < n_rows; i++) {
		g->memory[i].cells = g->cells + (size_t)i * n_columns;
		g->rows[i] = &g->memory[i];
	}
	terminal_grid_erase_rows(g, 0, n_rows, &plain);
	return 0;
}

void terminal_grid_fini(struct terminal_grid *g)
{
	free(g->cells);
	free(g->memory);
	free(g->rows);
	*g = (struct terminal_grid){ 0 };
}

/* Columns before `column` and from it on are about to part. */
static void cut(struct terminal_grid *g, unsigned row, unsigned column)
{
	struct terminal_cell *cells = row_cells(g, row);

	if (column > 0 && column < g->n_columns && cells[column].width == 0) {
		cells_fill(cells + column - 1, 2, blank_cell(&cells[column].style));
	}
}

void terminal_grid_copy(struct terminal_grid *to, const struct terminal_grid *from,
			unsigned first_row)
{
	unsigned n_rows = MIN(to->n_rows, from->n_rows - first_row);
	unsigned n_columns = MIN(to->n_columns, from->n_columns);

	for (unsigned row = 0; row < n_rows; row++) {
		struct terminal_cell *cells = row_cells(to, row), *last = &cells[n_columns - 1];

		for (unsigned column = 0; column < n_columns; column++) {
			cells[column] = *terminal_grid_cell(from, first_row + row, column);
		}
		if (last->width == 2) {
			*last = blank_cell(&last->style);
		}
	}
}

void terminal_grid_erase(struct terminal_grid *g, unsigned row, unsigned first, unsigned end,
			 const struct terminal_style *style)
{
	if (first == 0 && end == g->n_columns) {
		row_fill(g, row, blank_cell(style));
		return;
	}
	cut(g, row, first);
	cut(g, row, end);
	cells_fill(row_cells(g, row) + first, end - first, blank_cell(style));
}

void terminal_grid_erase_rows(struct terminal_grid *g, unsigned first, unsigned end,
			      const struct terminal_style *style)
{
	for (unsigned row = first; row < end; row++) {
		row_fill(g, row, blank_cell(style));
	}
}

void terminal_grid_fill(struct terminal_grid *g, uint32_t c)
{
	for (unsigned row = 0; row < g->n_rows; row++) {
		row_fill(g, row, (struct terminal_cell){ .chars = { c }, .width = 1 });
	}
}

static void rows_turn(struct terminal_row **rows, unsigned first, unsigned end)
{
	while (first + 1 < end) {
		struct terminal_row *row = rows[first];

		rows[first++] = rows[--end];
		rows[end] = row;
	}
}

void terminal_grid_scroll(struct terminal_grid *g, unsigned top, unsigned end, int by,
			  const struct terminal_style *style)
{
	unsigned n = end - top, lines = (unsigned)(by < 0 ? -by : by);
	unsigned border;

	if (lines >= n) {
		terminal_grid_erase_rows(g, top, end, style);
		return;
	}
	if (lines == 1 && by > 0) {
		/* what a line feed does */
		struct terminal_row *first = g->rows[top];

		memmove(g->rows + top, g->rows + top + 1, (n - 1) * sizeof(g->rows[0]));
		g->rows[end - 1] = first;
		terminal_grid_erase_rows(g, end - 1, end, style);
		return;
	}
	/* [top, border) and [border, end) change places: each is turned round, then both. */
	border = by < 0 ? end - lines : top + lines;
	rows_turn(g->rows, top, border);
	rows_turn(g->rows, border, end);
	rows_turn(g->rows, top, end);
	if (by < 0) {
		terminal_grid_erase_rows(g, top, top + lines, style);
	} else {
		terminal_grid_erase_rows(g, end - lines, end, style);
	}
}

void terminal_grid_insert(struct terminal_grid *g, unsigned row, unsigned column, unsigned n,
			  const struct terminal_style *style)
{
	struct terminal_cell *cells = row_cells(g, row);

	n = MIN(n, g->n_columns - column);
	cut(g, row, column);
	cut(g, row, g->n_columns - n);
	memmove(cells + column + n, cells + column, (g->n_columns - column - n) * sizeof(*cells));
	cells_fill(cells + column, n, blank_cell(style));
}

void terminal_grid_delete(struct terminal_grid *g, unsigned row, unsigned column, unsigned n,
			  const struct terminal_style *style)
{
	struct terminal_cell *cells = row_cells(g, row);

	n = MIN(n, g->n_columns - column);
	cut(g, row, column);
	cut(g, row, column + n);
	memmove(cells + column, cells + column + n, (g->n_columns - column - n) * sizeof(*cells));
	cells_fill(cells + g->n_columns - n, n, blank_cell(style));
}

void terminal_grid_put(struct terminal_grid *g, unsigned row, unsigned column, uint32_t c,
		       unsigned width, const struct terminal_style *style)
{
	struct terminal_cell *cell = &row_cells(g, row)[column];

	cut(g, row, column);
	cut(g, row, column + width);
	*cell = (struct terminal_cell){ .chars = { c }, .width = width, .style = *style };
	if (width == 2) {
		cell[1] = (struct terminal_cell){ .width = 0, .style = *style };
	}
}

void terminal_grid_put_text(struct terminal_grid *g, unsigned row, unsigned column,
			    const uint8_t *text, unsigned n, const struct terminal_style *style)
{
	struct terminal_cell *cells = row_cells(g, row) + column;

	cut(g, row, column);
	cut(g, row, column + n);
	for (unsigned i = 0; i < n; i++) {
		cells[i] =
			(struct terminal_cell){ .chars = { text[i] }, .width = 1, .style = *style };
	}
}

void terminal_grid_combine(struct terminal_grid *g, unsigned row, unsigned column, uint32_t c)
{
	struct terminal_cell *cell = &row_cells(g, row)[column];

	if (cell->width == 0 && column > 0) {
		cell--;
	}
	if (cell->chars[0] == 0) {
		cell->chars[0] = ' ';
	}
	for (unsigned i = 1; i < TERMINAL_CELL_CHARS; i++) {
		if (cell->chars[i] == 0) {
			cell->chars[i] = c;
			return;
		}
	}
}
