/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs a D-VM may ask for, and nothing else. */
#include <stdlib.h>
#include <string.h>

#include "test.h"
#include "verb.h"

static enum fault_code parse(const char *line, struct verb *ret)
{
	return verb_parse(line, strlen(line), ret);
}

static void known_verbs(void **state)
{
	static const char *const lines[] = {
		"power on web-1",
		"power off web-1",
		"power shutdown web-1",
		"power reboot web-1",
		"power reset web-1",
		"power pause web-1",
		"power resume web-1",
		"disk attach web-1 ro",
		"disk attach web-1 rw",
		"disk detach web-1",
		"info",
		"session renew",
		"session end",
	};
	struct verb v;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		char *joined = calloc(1, 256);

		assert_int_equal(parse(lines[i], &v), FAULT_NONE);
		for (size_t k = 0; k < v.n_words; k++) {
			strcat(strcat(joined, k ? " " : ""), v.words[k]);
		}
		assert_string_equal(joined, lines[i]);
		free(joined);
	}
}

static void unknown_verbs(void **state)
{
	static const char *const lines[] = {
		"power",	   "power on",		"power nmi web-1",     "power on web-1 now",
		"powe on web-1",   "disk attach web-1", "disk attach web-1 r", "disk eject web-1",
		"info all",	   "session",		"session rene",	       "on web-1",

		"a b c d e f g h",
	};
	struct verb v;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		assert_int_equal(parse(lines[i], &v), FAULT_NOT_SUPPORTED);
	}
}

static void no_lines_of_words(void **state)
{
	static const char *const lines[] = {
		"",
		" ",
		" info",
		"info ",
		"power  on web-1",
		"power\ton web-1",
		"info\r",
		"power on web 1 2 3 4 5 6",
		"power on web-1;id",
		"power on|off web-1",
		"disk attach web-1 ro|rw",
		"power on $(id)",
		"power on \"x\"",
		"power on w\xc3\xa4",
	};
	char line[VERB_WORD_MAX + 20];
	struct verb v;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		assert_int_equal(parse(lines[i], &v), FAULT_PROTOCOL);
	}
	assert_int_equal(verb_parse("info\0", 5, &v), FAULT_PROTOCOL);
	memset(line, 'a', sizeof(line));
	memcpy(line, "power on ", 9);
	assert_int_equal(verb_parse(line, 9 + VERB_WORD_MAX, &v), FAULT_NONE);
	assert_int_equal(strlen(v.words[2]), VERB_WORD_MAX);
	assert_int_equal(verb_parse(line, 9 + VERB_WORD_MAX + 1, &v), FAULT_PROTOCOL);
}

static void any_bytes(void **state)
{
	static const char alphabet[] = "power on disk attach info session|*/ \n\0\xff-";
	char line[1024];
	struct verb v;

	(void)state;
	srandom(7);
	for (int i = 0; i < 100000; i++) {
		size_t len = (size_t)random() % (i % 100 ? 40 : sizeof(line));

		for (size_t k = 0; k < len; k++) {
			line[k] = alphabet[(size_t)random() % (sizeof(alphabet) - 1)];
		}
		if (verb_parse(line, len, &v) == FAULT_NONE) {
			assert_true(v.n_words >= 1 && v.n_words <= 4);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_verbs),
		cmocka_unit_test(unknown_verbs),
		cmocka_unit_test(no_lines_of_words),
		cmocka_unit_test(any_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
