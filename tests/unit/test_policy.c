/* SPDX-License-Identifier: Apache-2.0 */
/* What a ticket allows: every pair of allowed and asked. */
#include <errno.h>

#include "policy.h"
#include "test.h"

static void names(void **state)
{
	uint8_t mode = 0;

	(void)state;
	assert_int_equal(policy_mode_parse("r", &mode), 0);
	assert_int_equal(mode, 1);
	assert_int_equal(policy_mode_parse("rw", &mode), 0);
	assert_int_equal(mode, 3);
	assert_int_equal(policy_mode_parse("take", &mode), 0);
	assert_int_equal(mode, 7);
	assert_int_equal(policy_mode_parse("", &mode), -EINVAL);
	assert_int_equal(policy_mode_parse("w", &mode), -EINVAL);
	assert_int_equal(policy_mode_parse("rwx", &mode), -EINVAL);
}

static void never_more_than_allowed_and_asked(void **state)
{
	static const uint8_t tickets[] = { 1, 3, 7 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(tickets); i++) {
		for (unsigned asked = 0; asked < 256; asked++) {
			uint8_t mode = 0;
			enum fault_code code = policy_mode(tickets[i], (uint8_t)asked, &mode);

			if (asked != 1 && asked != 2 && asked != 3 && asked != 7) {
				assert_int_equal(code, FAULT_PROTOCOL);
			} else if ((asked & tickets[i] & 3) == 0) {
				assert_int_equal(code, FAULT_FORBIDDEN);
			} else {
				assert_int_equal(code, FAULT_NONE);
				assert_int_equal(mode, asked & tickets[i]);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(never_more_than_allowed_and_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
