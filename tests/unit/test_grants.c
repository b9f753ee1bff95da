/* SPDX-License-Identifier: Apache-2.0 */
/* Tickets: once, in time, so many. */
#include <stdio.h>
#include <string.h>

#include "grants.h"
#include "test.h"

static struct grant grant_of(unsigned n, usec_t expires)
{
	struct grant g = { .mode = 1, .expires = expires };

	snprintf(g.ticket, sizeof(g.ticket), "%043u", n);
	snprintf(g.service, sizeof(g.service), "console/%u", n);
	return g;
}

static void once_and_in_time(void **state)
{
	struct grant g = grant_of(1, 100), out;
	struct grants gs = { 0 };

	(void)state;
	assert_int_equal(grants_add(&gs, &g, 50), FAULT_NONE);
	assert_int_equal(grants_count(&gs, 50), 1);
	assert_false(grants_redeem(&gs, "", 50, &out));
	assert_false(grants_redeem(&gs, "0000000000000000000000000000000000000000002", 50, &out));
	assert_true(grants_redeem(&gs, g.ticket, 99, &out));
	assert_string_equal(out.service, "console/1");
	assert_false(grants_redeem(&gs, g.ticket, 99, &out));
	assert_int_equal(grants_add(&gs, &g, 50), FAULT_NONE);
	assert_false(grants_redeem(&gs, g.ticket, 100, &out));
	assert_int_equal(grants_count(&gs, 100), 0);
}

static void repeated_and_bounded(void **state)
{
	struct grants gs = { 0 };
	struct grant g;

	(void)state;
	for (unsigned i = 0; i < GRANTS_MAX; i++) {
		g = grant_of(i, 100);
		assert_int_equal(grants_add(&gs, &g, 0), FAULT_NONE);
		assert_int_equal(grants_add(&gs, &g, 0), FAULT_NONE);
	}
	assert_int_equal(grants_count(&gs, 0), GRANTS_MAX);
	g = grant_of(1000, 100);
	assert_int_equal(grants_add(&gs, &g, 0), FAULT_QUOTA);
	assert_int_equal(grants_add(&gs, &g, 100), FAULT_NONE); /* the others are over */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(once_and_in_time),
		cmocka_unit_test(repeated_and_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
