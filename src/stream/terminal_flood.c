/* SPDX-License-Identifier: Apache-2.0 */
/* What a flood of plain lines leaves on a screen. See terminal_flood.h. */
#include "terminal_flood.h"

#include <string.h>

typedef uint8_t bytes16 __attribute__((vector_size(16)));

static bool within_run(uint8_t c)
{
	return (c >= 0x20 && c < 0x7f) || (c >= '\b' && c <= '\n') || c == '\r';
}

static bool all_within_run(bytes16 v)
{
	bytes16 is =
		(bytes16)(((v >= 0x20) & (v < 0x7f)) | ((v >= '\b') & (v <= '\n')) | (v == '\r'));
	uint64_t halves[2];

	memcpy(halves, &is, sizeof(halves));
	return (halves[0] & halves[1]) == UINT64_MAX;
}

size_t terminal_flood_length(const uint8_t *p, size_t len)
{
	size_t n = 0;
	bytes16 v;

	for (; n + sizeof(v) <= len; n += sizeof(v)) {
		memcpy(&v, p + n, sizeof(v));
		if (!all_within_run(v)) {
			break;
		}
	}
	while (n < len && within_run(p[n])) {
		n++;
	}
	return n;
}

/* Where the last so many lines begin, behind the end of a line that also returns to the first
 * column; 0: there is no such place. */
static size_t last_lines(const uint8_t *p, size_t len, unsigned lines)
{
	const uint8_t *end;

	while ((end = memrchr(p, '\n', len)) != NULL) {
		len = (size_t)(end - p);
		if (lines > 0) {
			lines--;
		} else if (len > 0 && end[-1] == '\r') {
			return len + 1;
		}
	}
	return 0;
}

static bool has_lines(const uint8_t *p, size_t len, unsigned lines)
{
	const uint8_t *end = p + len;

	for (; lines > 0; lines--) {
		p = memchr(p, '\n', (size_t)(end - p));
		if (!p) {
			return false;
		}
		p++;
	}
	return true;
}

size_t terminal_flood_skip(struct terminal *t, const uint8_t *p, size_t len)
{
	unsigned rows = t->screen->grid.n_rows;
	size_t skip;

	if (len < 2 * (size_t)rows || t->top != 0 || t->end != rows) {
		return 0;
	}
	skip = last_lines(p, len, rows);
	if (!has_lines(p, skip, rows - 1)) {
		return 0;
	}
	t->at.row = rows - 1;
	t->at.column = 0;
	t->at.wrap = false;
	return skip;
}
