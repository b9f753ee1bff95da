/* SPDX-License-Identifier: Apache-2.0 */
/* Widths of characters: against the C library's where it has a locale's table, with what differs
 * named. */
#include <locale.h>
#include <wchar.h>

#include "char_width.h"
#include "test.h"

static void known_ones(void **state)
{
	assert_int_equal(char_width('a'), 1);
	assert_int_equal(char_width(0xe9), 1);
	assert_int_equal(char_width(0x301), 0);
	assert_int_equal(char_width(0x200d), 0);
	assert_int_equal(char_width(0xfe0f), 0);
	assert_int_equal(char_width(0x2500), 1);
	assert_int_equal(char_width(0x3042), 2);
	assert_int_equal(char_width(0xac00), 2);
	assert_int_equal(char_width(0xff21), 2);
	assert_int_equal(char_width(0xff71), 1);
	assert_int_equal(char_width(0x1f600), 2);
	assert_int_equal(char_width(0x10ffff), 1);
}

/* Of the scripts that consoles show: Latin, Greek, Cyrillic, symbols, lines, CJK, emoji. */
static void as_the_c_library(void **state)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {
		{ 0x20, 0x7e },	    { 0xa1, 0xac },	  { 0xae, 0x52f },    { 0x1e00, 0x1fff },
		{ 0x20a0, 0x2426 }, { 0x2500, 0x25ff },	  { 0x4e00, 0x9fff }, { 0xac00, 0xd7a3 },
		{ 0xff01, 0xffbe }, { 0x1f600, 0x1f64f },
	};

	assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		for (uint32_t c = ranges[i].first; c <= ranges[i].last; c++) {
			int width = wcwidth((wchar_t)c);

			if (width >= 0 && (unsigned)width != char_width(c)) {
				fail_msg("U+%04X: %u, the C library says %d", c, char_width(c),
					 width);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_ones),
		cmocka_unit_test(as_the_c_library),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
