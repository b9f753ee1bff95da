/* SPDX-License-Identifier: Apache-2.0 */
/* A panic on a console, however it is cut. */
#include "panic_watch.h"

#include <string.h>

#include "test.h"

static bool feed(struct panic_watch *w, const char *text)
{
	return panic_watch_feed(w, (const uint8_t *)text, strlen(text));
}

static void sees_it_in_one_piece_and_byte_by_byte(void **state)
{
	static const char said[] =
		"[    4.2] KKernel Kernel panic - not syncing: Attempted to kill "
		"init!\x1b exitcode=0x1\r\nmore";
	static const char expected[] =
		"Kernel panic - not syncing: Attempted to kill init!? exitcode=0x1";
	struct panic_watch w = { 0 };
	bool seen = false;

	assert_true(feed(&w, said));
	assert_string_equal(w.text, expected);
	for (size_t i = 0; i < sizeof(said) - 1; i++) {
		bool now = panic_watch_feed(&w, (const uint8_t *)said + i, 1);

		assert_false(now && seen);
		seen = seen || now;
	}
	assert_true(seen);
	assert_string_equal(w.text, expected);
	assert_true(feed(&w, said));
}

static void ends_a_line_that_does_not_end(void **state)
{
	struct panic_watch w = { 0 };
	unsigned n = 0;

	assert_false(feed(&w, "Kernel panic - not syncing"));
	while (!feed(&w, "x")) {
		assert_true(++n < 1000);
	}
	assert_int_equal(strlen(w.text), PANIC_TEXT_MAX);
}

static void sees_nothing_else(void **state)
{
	static const char *const others[] = {
		"",
		"kernel panic - not syncing\n",
		"Kernel panic - not\nsyncing\n",
		"Kernel panic  - not syncing\n",
		"Kernel panKernel pani\n",
	};
	struct panic_watch w = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		assert_false(feed(&w, others[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sees_it_in_one_piece_and_byte_by_byte),
		cmocka_unit_test(ends_a_line_that_does_not_end),
		cmocka_unit_test(sees_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
