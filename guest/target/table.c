/* SPDX-License-Identifier: Apache-2.0 */
/* Rows for people or for programs. */
#include "table.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "parse.h"
#include "text.h"

#define CELLS_MAX 8000000

enum kind { CELL_TEXT, CELL_NUMBER, CELL_BOOL, CELL_NONE };

struct cell {
	enum kind kind;
	int64_t number;
	char *text;
};

struct table {
	const char *name;
	const struct column *columns;
	size_t n_columns;
	struct cell *cells;
	size_t n, room;
};

static void *need(void *p)
{
	if (!p) {
		fprintf(stderr, "target: no memory\n");
		exit(7);
	}
	return p;
}

struct table *table_new(const char *name, const struct column *columns, size_t n)
{
	struct table *t = need(calloc(1, sizeof(*t)));

	t->name = name;
	t->columns = columns;
	t->n_columns = n;
	return t;
}

struct table *table_free(struct table *t)
{
	if (t) {
		for (size_t i = 0; i < t->n; i++) {
			free(t->cells[i].text);
		}
		free(t->cells);
		free(t);
	}
	return NULL;
}

static void add(struct table *t, enum kind kind, int64_t number, char *text)
{
	if (t->n == CELLS_MAX) {
		free(text);
		return;
	}
	if (t->n == t->room) {
		t->room = t->room ? t->room * 2 : 256;
		t->cells = need(realloc(t->cells, t->room * sizeof(*t->cells)));
	}
	text_clean(text, false);
	t->cells[t->n++] = (struct cell){ kind, number, text };
}

static char *vformat(const char *format, va_list list)
{
	char *text;

	return vasprintf(&text, format, list) < 0 ? need(NULL) : text;
}

void table_text(struct table *t, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	add(t, CELL_TEXT, 0, vformat(format, list));
	va_end(list);
}

void table_number(struct table *t, int64_t value)
{
	add(t, CELL_NUMBER, value, need(strf("%lld", (long long)value)));
}

void table_number_as(struct table *t, int64_t value, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	add(t, CELL_NUMBER, value, vformat(format, list));
	va_end(list);
}

void table_bool(struct table *t, bool value, const char *yes, const char *no)
{
	add(t, CELL_BOOL, value, need(strdup(value ? yes : no)));
}

void table_none(struct table *t)
{
	add(t, CELL_NONE, 0, need(strdup("-")));
}

size_t table_rows(const struct table *t)
{
	return t->n / t->n_columns;
}

static json_t *cell_json(const struct cell *c)
{
	switch (c->kind) {
	case CELL_TEXT:
		return json_string(c->text);
	case CELL_NUMBER:
		return json_integer(c->number);
	case CELL_BOOL:
		return json_boolean(c->number);
	default:
		return json_null();
	}
}

static void print_json(const struct table *t, const char *partial)
{
	json_t *root = json_object(), *rows = json_array();

	for (size_t r = 0; r < table_rows(t); r++) {
		json_t *row = json_object();

		for (size_t c = 0; c < t->n_columns; c++) {
			json_object_set_new(row, t->columns[c].key,
					    cell_json(&t->cells[r * t->n_columns + c]));
		}
		json_array_append_new(rows, row);
	}
	json_object_set_new(root, t->name, rows);
	json_object_set_new(root, "partial", partial ? json_string(partial) : json_null());
	json_dumpf(root, stdout, JSON_INDENT(2));
	printf("\n");
	json_decref(root);
}

/* Letters, not bytes; what is shown here is one column wide each, or nearly so. */
static size_t width(const char *text)
{
	size_t n = 0;

	for (; *text; text++) {
		n += ((uint8_t)*text & 0xc0) != 0x80;
	}
	return n;
}

static void print_line(const struct table *t, const struct cell *cells, const size_t *widths)
{
	size_t gap = 0; /* blanks are written when something follows: no line ends with one */

	for (size_t c = 0; c < t->n_columns; c++) {
		const char *text = cells ? cells[c].text : t->columns[c].title;
		size_t blank;

		if (!t->columns[c].title) {
			continue;
		}
		blank = widths[c] - width(text);
		printf("%*s%s", (int)(gap + (t->columns[c].right ? blank : 0)), "", text);
		gap = 2 + (t->columns[c].right ? 0 : blank);
	}
	printf("\n");
}

void table_print(const struct table *t, bool json, const char *partial)
{
	_cleanup_free_ size_t *widths = NULL;

	if (json) {
		print_json(t, partial);
		return;
	}
	widths = need(calloc(t->n_columns, sizeof(*widths)));
	for (size_t c = 0; c < t->n_columns; c++) {
		if (!t->columns[c].title) {
			continue;
		}
		widths[c] = width(t->columns[c].title);
		for (size_t r = 0; r < table_rows(t); r++) {
			widths[c] = MAX(widths[c], width(t->cells[r * t->n_columns + c].text));
		}
	}
	print_line(t, NULL, widths);
	for (size_t r = 0; r < table_rows(t); r++) {
		print_line(t, &t->cells[r * t->n_columns], widths);
	}
	if (partial) {
		fflush(stdout);
		fprintf(stderr, "target: this is not all: %s\n", partial);
	}
}
