/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 out of arbitrary bytes: every code point, every border, every pair of bytes. */
#include <string.h>

#include "test.h"
#include "utf8.h"

static size_t encode(uint32_t c, uint8_t *out)
{
	if (c < 0x80) {
		out[0] = (uint8_t)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (uint8_t)(0xc0 | c >> 6);
		out[1] = (uint8_t)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (uint8_t)(0xe0 | c >> 12);
		out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
		out[2] = (uint8_t)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (uint8_t)(0xf0 | c >> 18);
	out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
	out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
	out[3] = (uint8_t)(0x80 | (c & 0x3f));
	return 4;
}

static void every_code_point(void **state)
{
	(void)state;
	for (uint32_t c = 0; c < 0x120000; c++) {
		uint8_t p[4];
		size_t n = encode(c, p);

		if ((c >= 0xd800 && c < 0xe000) || c > 0x10ffff) {
			assert_true(utf8_next(p, n) < 0);
			continue;
		}
		assert_int_equal(utf8_next(p, n), (int)n);
		for (size_t k = 1; k < n; k++) {
			assert_int_equal(utf8_next(p, k), 0);
		}
	}
}

static void overlong_and_stray(void **state)
{
	(void)state;
	assert_int_equal(utf8_next((const uint8_t *)"\x80", 1), -1);
	assert_int_equal(utf8_next((const uint8_t *)"\xc0\x80", 2), -1);
	assert_int_equal(utf8_next((const uint8_t *)"\xe0\x80\x80", 3), -1);
	assert_int_equal(utf8_next((const uint8_t *)"\xf0\x80\x80\x80", 4), -1);
	assert_int_equal(utf8_next((const uint8_t *)"\xff", 1), -1);
	/* the maximal part of a broken character is one replacement */
	assert_int_equal(utf8_next((const uint8_t *)"\xe2\x82x", 3), -2);
	assert_int_equal(utf8_next((const uint8_t *)"\xf0\x9f\x98x", 4), -3);
}

static void every_three_bytes_move_on(void **state)
{
	(void)state;
	for (uint32_t x = 0; x < 1 << 24; x += 7) {
		uint8_t p[3] = { (uint8_t)(x >> 16), (uint8_t)(x >> 8), (uint8_t)x };
		int n = utf8_next(p, 3);

		assert_true(n >= -3 && n <= 3);
		assert_true(n != 0 || (p[0] >= 0xf0 && p[0] <= 0xf4));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_point),
		cmocka_unit_test(overlong_and_stray),
		cmocka_unit_test(every_three_bytes_move_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
