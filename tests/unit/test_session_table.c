/* SPDX-License-Identifier: Apache-2.0 */
/* The table of a session's life, as a whole: decided everywhere, and always with a way out. */
#include "session_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_every_pair_is_decided(void **state)
{
	for (unsigned s = 0; s < _SESSION_STATE_MAX; s++) {
		for (unsigned e = 0; e < _SESSION_EVENT_MAX; e++) {
			const struct session_transition *t = session_table_lookup(s, e);

			assert_int_not_equal(t->verdict, SESSION_UNDECIDED);
			if (t->verdict == SESSION_IGNORE) {
				assert_int_equal(t->actions, 0);
			} else {
				assert_true(t->next < _SESSION_STATE_MAX);
				assert_int_equal(t->actions >> _SESSION_ACTION_COUNT, 0);
				/* one action at a time: the engine runs one chain a session */
				assert_int_equal(t->actions & (t->actions - 1), 0);
			}
		}
	}
}

static void test_end_and_fail_lead_to_detaching(void **state)
{
	static const enum session_event out[] = { SESSION_EV_END, SESSION_EV_FAIL,
						  SESSION_EV_LEASE_EXPIRED };

	for (unsigned s = 0; s < SESSION_DETACHING; s++) {
		for (size_t i = 0; i < ARRAY_SIZE(out); i++) {
			const struct session_transition *t = session_table_lookup(s, out[i]);

			assert_int_equal(t->verdict, SESSION_GO);
			assert_int_equal(t->next, SESSION_DETACHING);
			assert_int_equal(t->actions, SESSION_ACT_RELEASE);
		}
	}
	assert_int_equal(session_table_lookup(SESSION_DETACHING, SESSION_EV_RELEASED)->next,
			 SESSION_ENDED);
	assert_int_equal(session_table_lookup(SESSION_DETACHING, SESSION_EV_RELEASED_FAULT)->next,
			 SESSION_FAILED);
}

/* Only detaching leads to an end, and an end leads nowhere. */
static void test_ends(void **state)
{
	for (unsigned s = 0; s < _SESSION_STATE_MAX; s++) {
		for (unsigned e = 0; e < _SESSION_EVENT_MAX; e++) {
			const struct session_transition *t = session_table_lookup(s, e);

			if (session_state_final(s)) {
				assert_int_equal(t->verdict, SESSION_IGNORE);
			} else if (t->verdict == SESSION_GO && session_state_final(t->next)) {
				assert_int_equal(s, SESSION_DETACHING);
			}
		}
	}
}

/* RESUME stays where it is and begins the state's action anew. */
static void test_resume(void **state)
{
	for (unsigned s = 0; s < SESSION_ENDED; s++) {
		const struct session_transition *t = session_table_lookup(s, SESSION_EV_RESUME);

		assert_int_equal(t->verdict, SESSION_GO);
		assert_int_equal(t->next, s);
		assert_int_not_equal(t->actions, 0);
	}
}

static void test_straight_way(void **state)
{
	static const struct {
		enum session_event event;
		enum session_state next;
		unsigned actions;
	} way[] = {
		{ SESSION_EV_AUTHORIZED, SESSION_AUTHORIZED, SESSION_ACT_PLACE },
		{ SESSION_EV_PLACED, SESSION_PLACED, SESSION_ACT_CHOOSE_IMAGE },
		{ SESSION_EV_IMAGE_CHOSEN, SESSION_PROVISIONING, SESSION_ACT_PROVISION },
		{ SESSION_EV_DVM_UP, SESSION_ATTACHING, SESSION_ACT_ATTACH },
		{ SESSION_EV_ATTACHED, SESSION_READY, 0 },
		{ SESSION_EV_RELAY_LOST, SESSION_ATTACHING, SESSION_ACT_ATTACH },
		{ SESSION_EV_ATTACHED, SESSION_READY, 0 },
		{ SESSION_EV_DVM_LOST, SESSION_DETACHING, SESSION_ACT_RELEASE },
		{ SESSION_EV_RELEASED_FAULT, SESSION_FAILED, 0 },
	};
	enum session_state s = SESSION_REQUESTED;

	for (size_t i = 0; i < ARRAY_SIZE(way); i++) {
		const struct session_transition *t = session_table_lookup(s, way[i].event);

		assert_int_equal(t->verdict, SESSION_GO);
		assert_int_equal(t->next, way[i].next);
		assert_int_equal(t->actions, way[i].actions);
		s = t->next;
	}
}

/* A million events in no order at all, from a fixed seed, begun anew at each end. */
static void test_random_events(void **state)
{
	uint64_t x = 0x9e3779b97f4a7c15u;
	enum session_state s = SESSION_REQUESTED;
	unsigned ends = 0;

	for (unsigned i = 0; i < 1000000; i++) {
		const struct session_transition *t;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		t = session_table_lookup(s, x % _SESSION_EVENT_MAX);
		assert_int_not_equal(t->verdict, SESSION_UNDECIDED);
		if (t->verdict == SESSION_GO) {
			s = t->next;
		}
		assert_true(s < _SESSION_STATE_MAX);
		if (session_state_final(s)) {
			s = SESSION_REQUESTED;
			ends++;
		}
	}
	assert_true(ends > 1000);
	assert_int_equal(session_table_lookup(_SESSION_STATE_MAX, 0)->verdict, SESSION_IGNORE);
	assert_int_equal(session_table_lookup(0, _SESSION_EVENT_MAX)->verdict, SESSION_IGNORE);
}

static void test_names(void **state)
{
	for (unsigned s = 0; s < _SESSION_STATE_MAX; s++) {
		enum session_state back;

		assert_int_equal(session_state_parse(session_state_name(s), &back), 0);
		assert_int_equal(back, s);
	}
	assert_true(session_state_parse("Ready", &(enum session_state){ 0 }) < 0);
	assert_string_equal(session_action_name(SESSION_ACT_RELEASE), "release");
	assert_string_equal(session_event_name(SESSION_EV_RELEASED_FAULT), "released-fault");
	assert_string_equal(session_event_name(_SESSION_EVENT_MAX), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_pair_is_decided),
		cmocka_unit_test(test_end_and_fail_lead_to_detaching),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_straight_way),
		cmocka_unit_test(test_random_events),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
