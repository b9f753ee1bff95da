/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs: who holds one, how much was had, which are forgotten. */
#include "inputs.h"
#include "test.h"

static void one_holder_at_a_time(void **state)
{
	struct inputs in = { 0 };
	int a = 0, b = 0;
	uint64_t had = 0;
	void *old = &in;

	inputs_claim(&in, 7, &a, &had, &old)->had = 5;
	assert_true(had == INPUT_UNKNOWN);
	assert_null(old);
	assert_int_equal(inputs_of(&in, &a)->had, 5);
	inputs_claim(&in, 7, &b, &had, &old);
	assert_int_equal(had, 5);
	assert_ptr_equal(old, &a);
	assert_null(inputs_of(&in, &a));
	inputs_release(&in, &a);
	assert_non_null(inputs_of(&in, &b));
	inputs_release(&in, &b);
	assert_null(inputs_of(&in, &b));
	inputs_claim(&in, 7, &a, &had, &old);
	assert_int_equal(had, 5);
	assert_null(old);
	/* naming another one lets go of the first */
	inputs_claim(&in, 0, &a, &had, &old);
	assert_true(had == INPUT_UNKNOWN);
	inputs_claim(&in, 7, &b, &had, &old);
	assert_null(old);
	assert_int_equal(had, 5);
	assert_int_equal(inputs_of(&in, &a)->id, 0);
}

static void the_oldest_is_forgotten_but_not_one_in_use(void **state)
{
	struct inputs in = { 0 };
	int holders[INPUTS_MAX + 2] = { 0 };
	uint64_t had;
	void *old;

	inputs_claim(&in, 1, &holders[0], &had, &old);
	for (uint64_t id = 2; id < 100; id++) {
		inputs_claim(&in, id, &holders[1], &had, &old);
	}
	assert_int_equal(inputs_of(&in, &holders[0])->id, 1);
	inputs_claim(&in, 99 - INPUTS_MAX + 2, &holders[2], &had, &old);
	assert_true(had != INPUT_UNKNOWN);
	inputs_claim(&in, 99 - INPUTS_MAX, &holders[2], &had, &old);
	assert_true(had == INPUT_UNKNOWN);
	/* where all are in use, the oldest loses it */
	for (size_t i = 0; i < ARRAY_SIZE(holders); i++) {
		inputs_claim(&in, 1000 + i, &holders[i], &had, &old);
	}
	assert_null(inputs_of(&in, &holders[0]));
	assert_int_equal(inputs_of(&in, &holders[INPUTS_MAX + 1])->id, 1000 + INPUTS_MAX + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_holder_at_a_time),
		cmocka_unit_test(the_oldest_is_forgotten_but_not_one_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
