/* SPDX-License-Identifier: Apache-2.0 */
/* What is done once is done once, and leaves nothing in the loop. */
#include "once.h"

#include "test.h"

static unsigned done, freed;

static void on_done(void *user)
{
	assert_ptr_equal(user, &done);
	assert_int_equal(freed, done);
	done++;
}

static void on_free(void *user)
{
	assert_ptr_equal(user, &done);
	freed++;
}

static sd_event *loop_new(void)
{
	sd_event *event;

	done = freed = 0;
	assert_true(sd_event_new(&event) >= 0);
	return event;
}

static void once_each_and_gone(void **state)
{
	sd_event *event = loop_new();

	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(once_later(event, i % 2 ? 0 : 1000, on_done, on_free, &done), 0);
		while (done < i) {
			assert_true(sd_event_run(event, UINT64_MAX) >= 0);
		}
		assert_int_equal(freed, i);
	}
	assert_int_equal(once_later(event, 0, on_done, NULL, &done), 0);
	freed = done;
	while (done < 4) {
		assert_true(sd_event_run(event, UINT64_MAX) >= 0);
	}
	assert_int_equal(sd_event_run(event, 0), 0);
	sd_event_unref(event);
	assert_int_equal(freed, 3);
}

static void a_loop_that_ends_frees(void **state)
{
	sd_event *event = loop_new();

	assert_int_equal(once_later(event, 3600 * USEC_PER_SEC, on_done, on_free, &done), 0);
	sd_event_unref(event);
	assert_int_equal(done, 0);
	assert_int_equal(freed, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(once_each_and_gone),
		cmocka_unit_test(a_loop_that_ends_frees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
