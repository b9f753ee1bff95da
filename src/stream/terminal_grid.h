/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cells of one screen: rows that can be moved, erased, and written.
 *
 * A character of two columns has its cell and, to its right, one of width 0. Whoever cuts between
 * the two leaves two blanks.
 */
#pragma once

#include <stdbool.h>

#include "macro.h"

#define TERMINAL_CELL_CHARS 3 /* a character and what combines with it */

enum terminal_attr {
	TERMINAL_BOLD = 1,
	TERMINAL_FAINT = 2,
	TERMINAL_ITALIC = 4,
	TERMINAL_UNDERLINE = 8,
	TERMINAL_BLINK = 16,
	TERMINAL_REVERSE = 32,
	TERMINAL_HIDDEN = 64,
	TERMINAL_STRIKE = 128,
	TERMINAL_DOUBLE_UNDERLINE = 256,
};

/* 0 is the terminal's own; else one of the 256, or red, green and blue. */
typedef uint32_t terminal_color;
#define TERMINAL_COLOR_INDEX 0x01000000u
#define TERMINAL_COLOR_RGB 0x02000000u
#define TERMINAL_COLOR_KIND 0xff000000u

struct terminal_style {
	terminal_color fg, bg;
	uint32_t attrs; /* enum terminal_attr */
};

struct terminal_cell {
	uint32_t chars[TERMINAL_CELL_CHARS]; /* ends with a 0 where there are fewer; [0] 0: blank */
	uint32_t width;			     /* 1, 2, or 0 for the right half of the one before */
	struct terminal_style style;
};

/*
 * A row whose cells are all the same is only noted as such until one of them is written: so a few
 * bytes that clear a large screen cost no more than its rows.
 */
struct terminal_row {
	struct terminal_cell *cells;
	bool uniform;
	struct terminal_cell all; /* what every cell of a uniform row is */
};

struct terminal_grid {
	unsigned n_rows, n_columns;
	struct terminal_cell *cells;
	struct terminal_row *memory;
	struct terminal_row **rows; /* into memory, in the order of the screen */
};

int terminal_grid_init(struct terminal_grid *g, unsigned n_rows, unsigned n_columns) _must_check_;
void terminal_grid_fini(struct terminal_grid *g);
/* Copies what fits of `from`, from its row `first_row` on. */
void terminal_grid_copy(struct terminal_grid *to, const struct terminal_grid *from,
			unsigned first_row);

static inline const struct terminal_cell *terminal_grid_cell(const struct terminal_grid *g,
							     unsigned row, unsigned column)
{
	const struct terminal_row *r = g->rows[row];

	return r->uniform ? &r->all : &r->cells[column];
}

/* Columns [first, end) of a row become blank, with the background of `style`. */
void terminal_grid_erase(struct terminal_grid *g, unsigned row, unsigned first, unsigned end,
			 const struct terminal_style *style);
void terminal_grid_erase_rows(struct terminal_grid *g, unsigned first, unsigned end,
			      const struct terminal_style *style);
/* Every cell of the screen becomes `c`. */
void terminal_grid_fill(struct terminal_grid *g, uint32_t c);
/* Rows [top, end) move by `by`, up where it is above 0; blank rows come in. */
void terminal_grid_scroll(struct terminal_grid *g, unsigned top, unsigned end, int by,
			  const struct terminal_style *style);
/* Opens or closes `n` columns at `column`. */
void terminal_grid_insert(struct terminal_grid *g, unsigned row, unsigned column, unsigned n,
			  const struct terminal_style *style);
void terminal_grid_delete(struct terminal_grid *g, unsigned row, unsigned column, unsigned n,
			  const struct terminal_style *style);
/* There must be `width` columns at `column`. */
void terminal_grid_put(struct terminal_grid *g, unsigned row, unsigned column, uint32_t c,
		       unsigned width, const struct terminal_style *style);
/* The same for `n` characters of ASCII from `column` on, all of which fit in the row. */
void terminal_grid_put_text(struct terminal_grid *g, unsigned row, unsigned column,
			    const uint8_t *text, unsigned n, const struct terminal_style *style);
/* `c` combines with what stands at `column`. */
void terminal_grid_combine(struct terminal_grid *g, unsigned row, unsigned column, uint32_t c);
