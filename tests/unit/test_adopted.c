/* SPDX-License-Identifier: Apache-2.0 */
/* Which D-VM a session got: one each, the newest word counts. */
#include "adopted.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "test.h"

#define UUID_A "aaaaaaaa-0000-0000-0000-000000000000"
#define UUID_B "bbbbbbbb-0000-0000-0000-000000000000"

static void test_both_ways(void **unused)
{
	char uuid[DOMAIN_UUID_LEN + 1] = "as it was", session[DVM_SESSION_MAX + 1] = "";
	struct adopted *a;

	assert_int_equal(adopted_new(&a), 0);
	assert_false(adopted_uuid(a, "s-1", uuid));
	assert_string_equal(uuid, "as it was");
	assert_int_equal(adopted_put(a, "s-1", UUID_A), 0);
	assert_int_equal(adopted_put(a, "s-2", UUID_B), 0);
	assert_true(adopted_uuid(a, "s-1", uuid));
	assert_string_equal(uuid, UUID_A);
	assert_true(adopted_session(a, UUID_B, session));
	assert_string_equal(session, "s-2");
	/* A session has one D-VM, and a D-VM one session. */
	assert_int_equal(adopted_put(a, "s-1", UUID_B), 0);
	assert_false(adopted_session(a, UUID_A, session));
	assert_false(adopted_uuid(a, "s-2", uuid));
	assert_true(adopted_session(a, UUID_B, session));
	assert_string_equal(session, "s-1");
	adopted_remove(a, "s-1");
	adopted_remove(a, "s-1");
	assert_false(adopted_uuid(a, "s-1", uuid));
	assert_int_equal(adopted_put(a, "s-3", UUID_A), 0);
	adopted_clear(a);
	assert_false(adopted_uuid(a, "s-3", uuid));
	adopted_free(a);
}

static void test_bounds(void **unused)
{
	char name[DVM_SESSION_MAX + 2];
	struct adopted *a;

	assert_int_equal(adopted_new(&a), 0);
	memset(name, 's', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	assert_int_equal(adopted_put(a, name, UUID_A), -ENOMEM);
	assert_int_equal(adopted_put(a, "s-1", UUID_A "0"), -ENOMEM);
	for (unsigned i = 0; i < ADOPTED_MAX; i++) {
		char uuid[DOMAIN_UUID_LEN + 1];

		snprintf(name, sizeof(name), "s-%u", i);
		snprintf(uuid, sizeof(uuid), "%036u", i);
		assert_int_equal(adopted_put(a, name, uuid), 0);
	}
	assert_int_equal(adopted_put(a, "s-x", UUID_A), -ENOSPC);
	assert_int_equal(adopted_put(a, "s-0", UUID_A), 0);
	adopted_free(adopted_free(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
