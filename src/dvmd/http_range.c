/* SPDX-License-Identifier: Apache-2.0 */
/* The Range header, one range of bytes. */
#include "http_range.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "parse.h"

/* Longest "FIRST-LAST" that is looked at. */
#define SPEC_MAX 48

/* "-COUNT": the last ones. */
static int parse_suffix(const char *count_text, uint64_t size, uint64_t *ret_first,
			uint64_t *ret_end)
{
	uint64_t count;

	if (parse_u64(count_text, &count) < 0) {
		return 0;
	}
	if (count == 0 || size == 0) {
		return -ERANGE;
	}
	*ret_first = count < size ? size - count : 0;
	*ret_end = size;
	return 1;
}

int http_range_parse(const char *value, uint64_t size, uint64_t *ret_first, uint64_t *ret_end)
{
	static const char unit[] = "bytes=";
	char spec[SPEC_MAX];
	char *dash;
	uint64_t first, last = UINT64_MAX - 1;

	if (!value || strncmp(value, unit, strlen(unit)) != 0 ||
	    strlen(value) - strlen(unit) >= sizeof(spec)) {
		return 0;
	}
	strcpy(spec, value + strlen(unit));
	dash = strchr(spec, '-');
	if (!dash) {
		return 0;
	}
	*dash++ = '\0';
	if (spec[0] == '\0') {
		return parse_suffix(dash, size, ret_first, ret_end);
	}
	if (parse_u64(spec, &first) < 0 || (*dash && parse_u64(dash, &last) < 0) || last < first) {
		return 0;
	}
	if (first >= size) {
		return -ERANGE;
	}
	*ret_first = first;
	*ret_end = last < size - 1 ? last + 1 : size;
	return 1;
}
