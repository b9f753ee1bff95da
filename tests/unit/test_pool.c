/* SPDX-License-Identifier: Apache-2.0 */
/* The pool: how many there are to be, and whose a member is. */
#include "pool.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "test.h"

static const struct pool_settings settings = {
	.image = "default",
	.memory_mib = 256,
	.vcpus = 1,
	.min = 1,
	.max = 4,
	.budget_mib = 2048, /* five of 256 MiB and the emulator's 128 */
};

static const struct pool_load idle = { .free_mib = 8192, .total_mib = 16384 };

static unsigned want(unsigned recent, unsigned ready, uint64_t free_mib, double stalled)
{
	struct pool_load load = idle;

	load.recent = recent;
	load.ready = ready;
	load.free_mib = free_mib;
	load.stalled = stalled;
	return pool_want(&settings, &load);
}

static void test_demand(void **unused)
{
	assert_int_equal(want(0, 0, 8192, 0), 1);
	assert_int_equal(want(3, 0, 8192, 0), 3);
	assert_int_equal(want(100, 2, 8192, 0), 4);
}

static void test_budget(void **unused)
{
	struct pool_settings s = settings;

	s.max = 64;
	s.min = 64;
	assert_int_equal(pool_want(&s, &idle), 5);
	s.budget_mib = 383;
	assert_int_equal(pool_want(&s, &idle), 0);
	s.budget_mib = 0;
	assert_int_equal(pool_want(&s, &idle), 0);
	s = settings;
	s.min = s.max = 0;
	assert_int_equal(pool_want(&s, &idle), 0);
}

static void test_pressure(void **unused)
{
	/* Room for one more beside the reserve of 1 GiB, and for none. */
	assert_int_equal(want(4, 0, 1024 + 384, 0), 1);
	assert_int_equal(want(4, 1, 1024 + 383, 0), 1);
	/* Given back one at a time. */
	assert_int_equal(want(4, 3, 1023, 0), 2);
	assert_int_equal(want(4, 1, 1023, 0), 0);
	assert_int_equal(want(4, 0, 1023, 0), 0);
	assert_int_equal(want(4, 3, 8192, 10.5), 2);
	assert_int_equal(want(0, 4, 1023, 0), 1);
	/* A small host's reserve is an eighth. */
	assert_int_equal(
		pool_want(&settings, &(struct pool_load){ .free_mib = 900, .total_mib = 2048 }), 1);
}

static void test_life(void **unused)
{
	char id[DVM_SESSION_MAX + 1] = "";
	struct pool *p;
	uid_t uid = 0;

	assert_int_equal(pool_new(&p), 0);
	assert_false(pool_is_on(p));
	pool_set(p, &settings);
	assert_true(pool_is_on(p));
	assert_int_equal(pool_add(p, "p-1", 7001), 0);
	assert_int_equal(pool_add(p, "p-2", 7002), 0);
	assert_true(pool_has(p, "p-1") && pool_has_uid(p, 7002));
	assert_false(pool_has(p, "p-3") || pool_has_uid(p, 7003));
	/* One that is being made is nobody's yet. */
	assert_false(pool_take(p, "round", id, &uid));
	assert_int_equal(pool_n_ready(p), 0);
	assert_int_equal(pool_ready(p, "p-1", "round"), 0);
	assert_int_equal(pool_ready(p, "p-2", "round"), 0);
	assert_int_equal(pool_ready(p, "p-3", "round"), -ECANCELED);
	assert_int_equal(pool_n_ready(p), 2);
	assert_false(pool_take(p, "square", id, &uid));
	assert_true(pool_take(p, "round", id, &uid));
	assert_string_equal(id, "p-1");
	assert_int_equal(uid, 7001);
	/* Its user is taken until the session's file says so. */
	assert_true(pool_has_uid(p, 7001));
	assert_true(pool_take(p, "round", id, &uid));
	assert_string_equal(id, "p-2");
	assert_false(pool_take(p, "round", id, &uid));
	assert_int_equal(pool_recent(p), 5);
	assert_true(pool_drop(p, "p-1"));
	assert_false(pool_drop(p, "p-1"));
	assert_false(pool_has_uid(p, 7001));
	pool_free(p);
}

static void test_surplus(void **unused)
{
	char id[DVM_SESSION_MAX + 1] = "", name[16];
	struct pool *p;

	assert_int_equal(pool_new(&p), 0);
	for (unsigned i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "p-%u", i);
		assert_int_equal(pool_add(p, name, 0), 0);
		assert_int_equal(pool_ready(p, name, i == 2 ? "square" : "round"), 0);
	}
	assert_true(pool_surplus(p, "round", 3, id));
	assert_string_equal(id, "p-2");
	assert_false(pool_surplus(p, "round", 3, id));
	assert_true(pool_surplus(p, "round", 2, id));
	assert_string_equal(id, "p-3");
	assert_false(pool_surplus(p, "round", 2, id));
	assert_true(pool_lost(p, "p-0"));
	assert_false(pool_lost(p, "p-0") || pool_lost(p, "p-2") || pool_lost(p, "p-9"));
	assert_int_equal(pool_n_ready(p), 1);
	assert_true(pool_surplus(p, "round", 2, id));
	assert_string_equal(id, "p-0");
	assert_true(pool_surplus(p, NULL, 2, id));
	assert_string_equal(id, "p-1");
	assert_false(pool_surplus(p, NULL, 0, id));
	pool_free(p);
}

static void test_bounds(void **unused)
{
	struct pool *p;
	char name[DVM_SESSION_MAX + 2];

	assert_int_equal(pool_new(&p), 0);
	memset(name, 'p', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	assert_int_equal(pool_add(p, name, 0), -ENOMEM);
	for (unsigned i = 0; i < POOL_MEMBERS_MAX; i++) {
		snprintf(name, sizeof(name), "p-%u", i);
		assert_int_equal(pool_add(p, name, 0), 0);
	}
	assert_int_equal(pool_add(p, "p-x", 0), -ENOSPC);
	pool_set(p, &settings);
	pool_close(p);
	assert_false(pool_is_on(p));
	assert_int_equal(pool_ready(p, "p-0", "round"), -ECANCELED);
	assert_true(pool_drop(p, "p-0"));
	assert_int_equal(pool_add(p, "p-x", 0), -ECANCELED);
	pool_free(p);
	assert_true(pool_id_valid("p-1"));
	assert_false(pool_id_valid("p-") || pool_id_valid("s-1") || pool_id_valid(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_demand),	 cmocka_unit_test(test_budget),
		cmocka_unit_test(test_pressure), cmocka_unit_test(test_life),
		cmocka_unit_test(test_surplus),	 cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
