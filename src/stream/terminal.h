/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A terminal model: what a screen shows that was given all bytes of a console. Sans-I/O.
 *
 * It is the terminal that Debian's programs believe to be on a serial line: ECMA-48 with what
 * vt220, linux and xterm have in common, in UTF-8: colours, scroll region, alternate screen, line
 * drawing, tab stops, saved cursor. Whatever the bytes are, its memory is what terminal_new()
 * allocated.
 */
#pragma once

#include "buf.h"
#include "terminal_grid.h"

#define TERMINAL_ROWS 24
#define TERMINAL_COLUMNS 80
#define TERMINAL_ROWS_MAX 128
#define TERMINAL_COLUMNS_MAX 384
#define TERMINAL_SNAPSHOT_MAX ((size_t)256 * 1024)

struct terminal;

/* Sizes beyond what there can be are brought within it. -ENOMEM. */
int terminal_new(unsigned rows, unsigned columns, struct terminal **ret) _must_check_;
struct terminal *terminal_free(struct terminal *t);

void terminal_feed(struct terminal *t, const void *p, size_t len);
/* Bytes are missing: an unfinished sequence will not be ended. */
void terminal_gap(struct terminal *t);
/* As it was made, in the size that it has. */
void terminal_forget(struct terminal *t);
/* The line with the cursor stays. -ENOMEM: nothing has changed. */
int terminal_resize(struct terminal *t, unsigned rows, unsigned columns) _must_check_;

/*
 * Appends what makes a terminal of any kind show this screen: cells, cursor, both screens, and
 * every mode on which the meaning of what comes next depends; last, the head of a sequence or
 * character whose rest is still to come. At most TERMINAL_SNAPSHOT_MAX bytes: a screen that needs
 * more loses the screen that is not shown, and its colours, before it loses characters. -ENOBUFS,
 * -ENOMEM.
 */
int terminal_snapshot(const struct terminal *t, struct buf *out) _must_check_;

/* For tests: the screen that is shown. */
void terminal_screen_size(const struct terminal *t, unsigned *ret_rows, unsigned *ret_columns);
void terminal_cursor(const struct terminal *t, unsigned *ret_row, unsigned *ret_column);
const struct terminal_cell *terminal_cell(const struct terminal *t, unsigned row, unsigned column);
