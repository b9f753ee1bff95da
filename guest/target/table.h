/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows for people or for programs: aligned columns with a heading, or a JSON object
 * {"NAME": [{"KEY": VALUE, …}, …], "partial": TEXT or null}.
 *
 * A failed allocation ends the process: it has nothing to lose but its output.
 */
#pragma once

#include <stdbool.h>

#include "macro.h"

struct column {
	const char *key;   /* in JSON */
	const char *title; /* NULL: only in JSON */
	bool right;	   /* numbers */
};

struct table;

/* `columns` is kept by reference. */
struct table *table_new(const char *name, const struct column *columns, size_t n);
struct table *table_free(struct table *t);
/* Cells come in the order of the columns, row after row. */
void table_text(struct table *t, const char *format, ...) _printf_(2, 3);
void table_number(struct table *t, int64_t value);
/* Shown as `format` says, a number in JSON. */
void table_number_as(struct table *t, int64_t value, const char *format, ...) _printf_(3, 4);
void table_bool(struct table *t, bool value, const char *yes, const char *no);
/* Nothing: "-", null. */
void table_none(struct table *t);
size_t table_rows(const struct table *t);
/* `partial`: why it is not whole, NULL: it is. That goes to stderr where it is not JSON. */
void table_print(const struct table *t, bool json, const char *partial);
