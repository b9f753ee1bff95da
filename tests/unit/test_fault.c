/* SPDX-License-Identifier: Apache-2.0 */
/* The table of faults: complete, unique, within what REST and the CLI can say. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "fault.h"
#include "parse.h"
#include "test.h"

static bool kebab_case(const char *s)
{
	size_t len = strlen(s);

	return len > 0 && strspn(s, "abcdefghijklmnopqrstuvwxyz-") == len && s[0] != '-' &&
	       s[len - 1] != '-' && !strstr(s, "--");
}

static void each_code_is_complete(void **state)
{
	(void)state;
	for (int i = FAULT_NONE; i < _FAULT_MAX; i++) {
		enum fault_code code = (enum fault_code)i;
		const char *name = fault_code_name(code);

		assert_non_null(name);
		assert_true(kebab_case(name));
		assert_true(strlen(name) < 64); /* fits a tunnel frame's reason */
		assert_non_null(fault_code_title(code));
		assert_true(text_valid(fault_code_title(code), FAULT_MESSAGE_MAX - 1));
		assert_in_range(strlen(fault_code_title(code)), 4, 80);
		assert_non_null(fault_code_hint(code));
		assert_true(text_valid(fault_code_hint(code), FAULT_HINT_MAX - 1));
		assert_in_range(fault_code_http_status(code), 400, 599);
		assert_in_range(fault_code_exit_status(code), 2, 125);
		if (i != FAULT_NONE) {
			assert_int_equal(fault_code_parse(name), code);
		}
		for (int other = FAULT_NONE; other < i; other++) {
			assert_string_not_equal(name, fault_code_name((enum fault_code)other));
		}
	}
}

static void transient_means_that_waiting_helps(void **state)
{
	(void)state;
	assert_true(fault_code_transient(FAULT_HOST_AWAY));
	assert_true(fault_code_transient(FAULT_HYPERVISOR_AWAY));
	assert_true(fault_code_transient(FAULT_TIMEOUT));
	assert_false(fault_code_transient(FAULT_FORBIDDEN));
	assert_false(fault_code_transient(FAULT_NOT_FOUND));
	for (int i = FAULT_NONE; i < _FAULT_MAX; i++) {
		enum fault_code code = (enum fault_code)i;

		assert_int_equal(fault_code_transient(code), fault_code_exit_status(code) == 6);
	}
}

static void unknown_reads_as_internal(void **state)
{
	(void)state;
	assert_int_equal(fault_code_parse("no-such-code"), FAULT_INTERNAL);
	assert_int_equal(fault_code_parse(""), FAULT_INTERNAL);
	assert_int_equal(fault_code_parse("none"), FAULT_INTERNAL);
	assert_string_equal(fault_code_name((enum fault_code)9999), "internal");
	assert_int_equal(fault_code_http_status((enum fault_code) - 1), 500);
}

static void set_fills_all(void **state)
{
	struct fault f;

	(void)state;
	assert_int_equal(fault_set(&f, FAULT_NOT_FOUND, "no VM %s", "web-1"), -EREMOTEIO);
	assert_int_equal(f.code, FAULT_NOT_FOUND);
	assert_string_equal(f.message, "no VM web-1");
	assert_string_equal(f.hint, fault_code_hint(FAULT_NOT_FOUND));
	fault_hint(&f, "try %d", 2);
	assert_string_equal(f.hint, "try 2");
	assert_int_equal(fault_set(&f, FAULT_CONFLICT, "first: %s", f.message), -EREMOTEIO);
	assert_string_equal(f.message, "first: no VM web-1");
	assert_int_equal(fault_set(NULL, FAULT_CONFLICT, "nobody listens"), -EREMOTEIO);
	fault_hint(NULL, "nobody listens");
}

/* `text` repeated beyond the maximum is cut between two characters. */
static void check_cut(const char *text)
{
	char many[4 * FAULT_MESSAGE_MAX] = "";
	struct fault f;

	for (size_t shift = 0; shift < 5; shift++) {
		char *at = many;

		for (size_t i = 0; i < shift; i++) {
			*at++ = 'x';
		}
		while (at < many + 2 * FAULT_MESSAGE_MAX) {
			at = stpcpy(at, text);
		}
		fault_set(&f, FAULT_CONFLICT, "%s", many);
		assert_true(text_valid(f.message, FAULT_MESSAGE_MAX - 1));
		assert_true(strlen(f.message) > FAULT_MESSAGE_MAX - 1 - strlen(text));
		assert_memory_equal(f.message, many, strlen(f.message));
	}
}

static void long_texts_are_cut_between_characters(void **state)
{
	(void)state;
	check_cut("a");
	check_cut("é");
	check_cut("語");
	check_cut("𝄞");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_code_is_complete),
		cmocka_unit_test(transient_means_that_waiting_helps),
		cmocka_unit_test(unknown_reads_as_internal),
		cmocka_unit_test(set_fills_all),
		cmocka_unit_test(long_texts_are_cut_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
