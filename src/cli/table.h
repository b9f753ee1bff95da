/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables for people: columns as wide as their widest cell. What comes from a server is untrusted
 * text: control characters never reach the terminal.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "macro.h"

#define TABLE_COLUMNS_MAX 12
#define TABLE_ROWS_MAX 65536

struct table;

/* `headers`: NULL-ended, at most TABLE_COLUMNS_MAX, borrowed. */
int table_new(const char *const *headers, struct table **ret) _must_check_;
struct table *table_free(struct table *t);
/* One cell a column, copied; NULL is shown as "-". */
int table_row(struct table *t, const char *const *cells) _must_check_;
/* Headers only when there is a row. */
void table_print(const struct table *t, FILE *f, bool color);

/* Copies `s` with everything that is not printable replaced by '?'. NULL: no memory. */
char *text_clean(const char *s);
/* Columns on a terminal of valid or invalid UTF-8. */
size_t text_columns(const char *s);
