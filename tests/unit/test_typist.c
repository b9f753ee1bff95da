/* SPDX-License-Identifier: Apache-2.0 */
/* Typed bytes and breaks: their order, their pace. */
#include "test.h"
#include "typist.h"

#define START (100 * USEC_PER_SEC)

static void bytes_go_as_they_come(void **state)
{
	struct typist t;
	size_t len = 0;
	usec_t at;

	typist_init(&t);
	assert_int_equal(typist_next(&t, START, 0, &len, &at), TYPIST_NOTHING);
	assert_int_equal(typist_next(&t, START, 70000, &len, &at), TYPIST_WRITE);
	assert_int_equal(len, 70000);
	typist_went(&t, START, 5);
	assert_int_equal(typist_next(&t, START, 69995, &len, &at), TYPIST_WRITE);
}

static void a_break_waits_for_what_is_before_it(void **state)
{
	int me = 0;
	struct typist t;
	size_t len = 0;
	usec_t at = 0;
	void *who = NULL;

	typist_init(&t);
	assert_true(typist_break(&t, 3, &me));
	assert_int_equal(typist_next(&t, START, 5, &len, &at), TYPIST_WRITE);
	assert_int_equal(len, 3);
	typist_went(&t, START, 2);
	assert_int_equal(typist_next(&t, START, 3, &len, &at), TYPIST_WRITE);
	assert_int_equal(len, 1);
	typist_went(&t, START + 1, 1);
	assert_int_equal(typist_next(&t, START + 2, 2, &len, &at), TYPIST_WAIT);
	assert_int_equal(at, START + 1 + TYPIST_SETTLE);
	assert_int_equal(typist_next(&t, at, 2, &len, &at), TYPIST_BREAK);
	typist_break_begin(&t);
	assert_int_equal(typist_next(&t, at, 2, &len, &at), TYPIST_NOTHING);
	assert_true(typist_break_end(&t, &who));
	assert_ptr_equal(who, &me);
	assert_int_equal(typist_next(&t, at, 2, &len, &at), TYPIST_WRITE);
	assert_int_equal(len, 2);
	assert_false(typist_break_end(&t, &who));
}

static void breaks_are_few_and_may_be_forgotten(void **state)
{
	int me = 0, other = 0;
	struct typist t;
	void *who = NULL;

	typist_init(&t);
	for (size_t i = 0; i < TYPIST_BREAKS_MAX; i++) {
		assert_true(typist_break(&t, i, i % 2 ? (void *)&me : (void *)&other));
	}
	assert_false(typist_break(&t, 99, &me));
	typist_forget(&t, &me);
	for (size_t i = 0; i < TYPIST_BREAKS_MAX; i++) {
		assert_true(typist_break_end(&t, &who));
		assert_ptr_equal(who, i % 2 ? NULL : (void *)&other);
	}
}

static void what_is_dropped_moves_the_break_up(void **state)
{
	struct typist t;
	size_t len = 0;
	usec_t at = 0;

	typist_init(&t);
	assert_true(typist_break(&t, 10, NULL));
	typist_dropped(&t, 10);
	assert_int_equal(typist_next(&t, START, 4, &len, &at), TYPIST_BREAK);
}

/* Over any length of time no more than the rate, and a chunk. */
static void the_pace_is_kept(void **state)
{
	static const uint32_t rates[] = { 1, 960, 11520, 100000, UINT32_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		size_t left = rates[i] > 1000 ? 65536 : 100, total = left, len = 0;
		usec_t now = START, at = 0;
		struct typist t;

		typist_init(&t);
		typist_pace(&t, rates[i]);
		while (left > 0) {
			uint64_t may = (now - START) * rates[i] / USEC_PER_SEC +
				       MAX(TYPIST_CHUNK, (size_t)rates[i] / 1000);

			if (typist_next(&t, now, left, &len, &at) == TYPIST_WAIT) {
				assert_true(at > now);
				now = at;
				continue;
			}
			typist_went(&t, now, len);
			left -= len;
			assert_true(total - left <= may);
		}
		typist_pace(&t, 0);
		assert_int_equal(typist_next(&t, now, 50000, &len, &at), TYPIST_WRITE);
		assert_int_equal(len, 50000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_go_as_they_come),
		cmocka_unit_test(a_break_waits_for_what_is_before_it),
		cmocka_unit_test(breaks_are_few_and_may_be_forgotten),
		cmocka_unit_test(what_is_dropped_moves_the_break_up),
		cmocka_unit_test(the_pace_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
