/* SPDX-License-Identifier: Apache-2.0 */
/* Times as text, and what is random. */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "test.h"

static void formats_rfc3339(void **state)
{
	char text[32];

	clock_format(0, text);
	assert_string_equal(text, "1970-01-01T00:00:00.000Z");
	clock_format(UINT64_C(1795425180123999), text);
	assert_string_equal(text, "2026-11-23T09:13:00.123Z");
	clock_format(UINT64_MAX, text);
	assert_in_range(strlen(text), 20, 31);
}

static void clocks_go_on(void **state)
{
	usec_t a = clock_monotonic(), b = clock_monotonic();

	assert_true(b >= a);
	assert_true(clock_realtime() > UINT64_C(1700000000) * USEC_PER_SEC);
}

static void ids_and_secrets(void **state)
{
	static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
	char secret[SECRET_LEN + 1], other[SECRET_LEN + 1];
	char *id = random_id("s", 12), *id2 = random_id("s", 12);

	assert_non_null(id);
	assert_non_null(id2);
	assert_int_equal(strlen(id), 14);
	assert_memory_equal(id, "s-", 2);
	assert_int_equal(strspn(id + 2, digits), 12);
	assert_string_not_equal(id, id2);
	free(id);
	free(id2);
	random_secret(secret);
	random_secret(other);
	assert_int_equal(strlen(secret), SECRET_LEN);
	assert_int_equal(strspn(secret, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					"0123456789-_"),
			 SECRET_LEN);
	assert_string_not_equal(secret, other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats_rfc3339),
		cmocka_unit_test(clocks_go_on),
		cmocka_unit_test(ids_and_secrets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
