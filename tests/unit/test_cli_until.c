/* SPDX-License-Identifier: Apache-2.0 */
/* A text is found wherever the borders of the pieces fall, and nothing else is. */
#include <errno.h>
#include <string.h>

#include "test.h"
#include "until.h"

static void check(const char *stream, const char *text, size_t want_end)
{
	for (size_t piece = 1; piece <= strlen(stream) + 1; piece++) {
		struct until u;
		size_t found = 0;

		assert_int_equal(until_init(&u, text), 0);
		for (size_t i = 0; i < strlen(stream) && !found; i += piece) {
			size_t end, len = MIN(piece, strlen(stream) - i);

			if (until_feed(&u, (const uint8_t *)stream + i, len, &end)) {
				assert_true(end > 0 && end <= len);
				found = i + end;
			}
		}
		assert_int_equal(found, want_end);
	}
}

static void found_across_borders(void **state)
{
	check("debian login: ", "login:", 13);
	check("lologin:", "login:", 8);
	check("aaaaab", "aab", 6);
	check("abababc", "ababc", 7);
	check("x", "x", 1);
	check("no such thing", "login:", 0);
	check("logi", "login:", 0);
	check("aXbXXX", "XXX", 6);
}

static void limits(void **state)
{
	char text[UNTIL_MAX + 2];
	struct until u;

	memset(text, 'x', sizeof(text));
	text[UNTIL_MAX + 1] = '\0';
	assert_int_equal(until_init(&u, text), -E2BIG);
	text[UNTIL_MAX] = '\0';
	assert_int_equal(until_init(&u, text), 0);
	assert_int_equal(until_init(&u, ""), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(found_across_borders),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
