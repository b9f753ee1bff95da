/* SPDX-License-Identifier: Apache-2.0 */
/* Aligned columns of cleaned text. */
#include "table.h"

#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "cleanup.h"

struct table {
	const char *const *headers;
	size_t n_columns;
	size_t n_rows;
	char **cells; /* n_rows × n_columns */
};

int table_new(const char *const *headers, struct table **ret)
{
	struct table *t = calloc(1, sizeof(*t));

	if (!t) {
		return -ENOMEM;
	}
	t->headers = headers;
	while (headers[t->n_columns]) {
		t->n_columns++;
	}
	assert(t->n_columns <= TABLE_COLUMNS_MAX);
	*ret = t;
	return 0;
}

struct table *table_free(struct table *t)
{
	if (t) {
		for (size_t i = 0; i < t->n_rows * t->n_columns; i++) {
			free(t->cells[i]);
		}
		free(t->cells);
		free(t);
	}
	return NULL;
}

/* One character of `s`: its width in columns and length in bytes; width -1 for what must not be
 * printed. */
static int next_char(const char *s, mbstate_t *state, size_t *ret_bytes)
{
	wchar_t wc;
	size_t n = mbrtowc(&wc, s, strlen(s), state);

	if (n == (size_t)-1 || n == (size_t)-2 || n == 0) {
		memset(state, 0, sizeof(*state));
		*ret_bytes = 1;
		return -1;
	}
	*ret_bytes = n;
	return iswprint((wint_t)wc) ? wcwidth(wc) : -1;
}

char *text_clean(const char *s)
{
	char *out = malloc(strlen(s) + 1), *q = out;
	mbstate_t state = { 0 };

	if (!out) {
		return NULL;
	}
	while (*s) {
		size_t n;

		if (next_char(s, &state, &n) < 0) {
			*q++ = '?';
		} else {
			memcpy(q, s, n);
			q += n;
		}
		s += n;
	}
	*q = '\0';
	return out;
}

size_t text_columns(const char *s)
{
	mbstate_t state = { 0 };
	size_t columns = 0;

	while (*s) {
		size_t n;
		int w = next_char(s, &state, &n);

		columns += w < 0 ? 1 : (size_t)w;
		s += n;
	}
	return columns;
}

int table_row(struct table *t, const char *const *cells)
{
	char **grown;

	if (t->n_rows == TABLE_ROWS_MAX) {
		return -ENOBUFS;
	}
	grown = reallocarray(t->cells, (t->n_rows + 1) * t->n_columns, sizeof(t->cells[0]));
	if (!grown) {
		return -ENOMEM;
	}
	t->cells = grown;
	for (size_t i = 0; i < t->n_columns; i++) {
		char *copy = text_clean(cells[i] && cells[i][0] ? cells[i] : "-");

		grown[t->n_rows * t->n_columns + i] = copy;
		if (!copy) {
			while (i-- > 0) {
				free(grown[t->n_rows * t->n_columns + i]);
			}
			return -ENOMEM;
		}
	}
	t->n_rows++;
	return 0;
}

static void print_row(FILE *f, const char *const *cells, size_t n, const size_t *widths)
{
	for (size_t i = 0; i < n; i++) {
		fputs(cells[i], f);
		if (i + 1 < n) {
			fprintf(f, "%*s", (int)(widths[i] - text_columns(cells[i]) + 2), "");
		}
	}
}

void table_print(const struct table *t, FILE *f, bool color)
{
	size_t widths[TABLE_COLUMNS_MAX];

	if (t->n_rows == 0) {
		return;
	}
	for (size_t c = 0; c < t->n_columns; c++) {
		widths[c] = text_columns(t->headers[c]);
		for (size_t r = 0; r < t->n_rows; r++) {
			widths[c] = MAX(widths[c], text_columns(t->cells[r * t->n_columns + c]));
		}
	}
	fputs(color ? "\033[1m" : "", f);
	print_row(f, t->headers, t->n_columns, widths);
	fputs(color ? "\033[0m\n" : "\n", f);
	for (size_t r = 0; r < t->n_rows; r++) {
		print_row(f, (const char *const *)t->cells + r * t->n_columns, t->n_columns,
			  widths);
		fputc('\n', f);
	}
}
