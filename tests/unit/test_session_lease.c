/* SPDX-License-Identifier: Apache-2.0 */
/* Lease arithmetic. */
#include "session_lease.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MIN_ (60 * USEC_PER_SEC)

static void test_grant(void **state)
{
	assert_int_equal(session_lease_grant(0, 60 * MIN_, 600 * MIN_), 60 * MIN_);
	assert_int_equal(session_lease_grant(30 * MIN_, 60 * MIN_, 600 * MIN_), 30 * MIN_);
	assert_int_equal(session_lease_grant(900 * MIN_, 60 * MIN_, 600 * MIN_), 600 * MIN_);
	assert_int_equal(session_lease_grant(1, 60 * MIN_, 600 * MIN_), SESSION_LEASE_MIN);
}

static void test_renew(void **state)
{
	usec_t now = 1000 * MIN_;

	assert_int_equal(session_lease_renewed(now, now + MIN_, 60 * MIN_), now + 60 * MIN_);
	/* a shorter lease never takes time away */
	assert_int_equal(session_lease_renewed(now, now + 90 * MIN_, 60 * MIN_), now + 90 * MIN_);
	assert_false(session_lease_worth(now, now + 59 * MIN_, 60 * MIN_));
	assert_true(session_lease_worth(now, now + 57 * MIN_, 60 * MIN_));
	assert_false(session_lease_worth(now, now + 90 * MIN_, 60 * MIN_));
}

static void test_warning(void **state)
{
	assert_int_equal(session_lease_warning_at(100 * MIN_, 60 * MIN_), 95 * MIN_);
	assert_int_equal(session_lease_warning_at(100 * MIN_, 4 * MIN_), 99 * MIN_);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grant),
		cmocka_unit_test(test_renew),
		cmocka_unit_test(test_warning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
