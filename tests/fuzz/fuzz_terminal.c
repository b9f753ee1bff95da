/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes at a terminal, whole and in pieces: it ends in the same state, and a second terminal
 * that is given its snapshot shows the same and has the same snapshot.
 */
#include <string.h>

#include "fuzz.h"
#include "terminal.h"

static void same_screen(const struct terminal *a, const struct terminal *b)
{
	unsigned rows, columns, row, column, other_row, other_column;

	terminal_screen_size(a, &rows, &columns);
	terminal_cursor(a, &row, &column);
	terminal_cursor(b, &other_row, &other_column);
	must(row < rows && column < columns && row == other_row && column == other_column);
	for (row = 0; row < rows; row++) {
		for (column = 0; column < columns; column++) {
			const struct terminal_cell *x = terminal_cell(a, row, column);
			const struct terminal_cell *y = terminal_cell(b, row, column);

			must(x->width == y->width);
			must(x->width != 0 ||
			     (column > 0 && terminal_cell(a, row, column - 1)->width == 2));
			must((x->chars[0] ? x->chars[0] : ' ') ==
				     (y->chars[0] ? y->chars[0] : ' ') ||
			     x->width == 0);
			must(memcmp(&x->style, &y->style, sizeof(x->style)) == 0 || x->width == 0);
		}
	}
}

static void snapshot(const struct terminal *t, struct buf *out)
{
	buf_init(out, TERMINAL_SNAPSHOT_MAX);
	must(terminal_snapshot(t, out) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct terminal *whole, *pieces, *second;
	struct buf a, b;
	unsigned rows, columns;

	if (size < 3) {
		return 0;
	}
	must(terminal_new(data[0] % 32, data[1] % 100, &whole) == 0);
	terminal_screen_size(whole, &rows, &columns);
	must(terminal_new(rows, columns, &pieces) == 0);
	must(terminal_new(rows, columns, &second) == 0);
	terminal_feed(whole, data + 3, size - 3);
	for (size_t i = 3; i < size; i++) {
		terminal_feed(pieces, data + i, 1);
	}
	snapshot(whole, &a);
	snapshot(pieces, &b);
	must(buf_len(&a) == buf_len(&b) && memcmp(buf_data(&a), buf_data(&b), buf_len(&a)) == 0);
	buf_fini(&b);
	terminal_feed(second, buf_data(&a), buf_len(&a));
	same_screen(whole, second);
	snapshot(second, &b);
	must(buf_len(&a) == buf_len(&b) && memcmp(buf_data(&a), buf_data(&b), buf_len(&a)) == 0);
	buf_fini(&a);
	buf_fini(&b);
	must(terminal_resize(whole, data[2] % 64, data[2]) == 0);
	terminal_feed(whole, data + 3, size - 3);
	terminal_free(whole);
	terminal_free(pieces);
	terminal_free(second);
	return 0;
}
