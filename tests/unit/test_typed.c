/* SPDX-License-Identifier: Apache-2.0 */
/* What is typed arrives once, or is told to be lost, whatever connections break. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"
#include "typed.h"

static void goes_when_the_hub_has_answered(void **state)
{
	struct typed t;
	const uint8_t *p;
	size_t lost;

	typed_init(&t, 7, 64);
	typed_connect(&t);
	assert_int_equal(typed_add(&t, "abcdef", 6), 0);
	assert_int_equal(typed_next(&t, &p), 0);
	assert_int_equal(typed_had(&t, TYPED_UNKNOWN, &lost), 0);
	assert_int_equal(lost, 0);
	assert_int_equal(typed_next(&t, &p), 6);
	assert_memory_equal(p, "abcdef", 6);
	typed_went(&t, 4);
	assert_int_equal(typed_had(&t, 3, &lost), 0);
	assert_int_equal(typed_next(&t, &p), 2);
	assert_memory_equal(p, "ef", 2);
	/* the connection breaks; one of the two on their way was had */
	typed_went(&t, 1);
	typed_connect(&t);
	assert_int_equal(typed_next(&t, &p), 0);
	assert_int_equal(typed_had(&t, 4, &lost), 0);
	assert_int_equal(typed_next(&t, &p), 2);
	assert_memory_equal(p, "ef", 2);
	/* it breaks again, and the hub has forgotten */
	typed_went(&t, 1);
	typed_connect(&t);
	assert_int_equal(typed_had(&t, TYPED_UNKNOWN, &lost), 0);
	assert_int_equal(lost, 1);
	assert_int_equal(typed_next(&t, &p), 1);
	assert_memory_equal(p, "f", 1);
	typed_went(&t, 1);
	assert_false(typed_is_empty(&t));
	assert_int_equal(typed_had(&t, 1, &lost), 0);
	assert_true(typed_is_empty(&t));
	typed_fini(&t);
}

static void answers_that_cannot_be(void **state)
{
	struct typed t;
	size_t lost;

	typed_init(&t, 7, 64);
	typed_connect(&t);
	assert_int_equal(typed_had(&t, 0, &lost), 0);
	assert_int_equal(typed_had(&t, 1, &lost), -EPROTO);
	assert_int_equal(typed_had(&t, TYPED_UNKNOWN, &lost), -EPROTO);
	assert_int_equal(typed_add(&t, "ab", 2), 0);
	assert_int_equal(typed_had(&t, 1, &lost), -EPROTO);
	typed_went(&t, 2);
	assert_int_equal(typed_had(&t, 2, &lost), 0);
	assert_int_equal(typed_had(&t, 1, &lost), -EPROTO);
	typed_fini(&t);
}

static void is_bounded_and_can_be_dropped(void **state)
{
	struct typed t;
	const uint8_t *p;
	size_t lost;

	typed_init(&t, 7, 4);
	typed_connect(&t);
	assert_int_equal(typed_had(&t, TYPED_UNKNOWN, &lost), 0);
	assert_int_equal(typed_add(&t, "abcd", 4), 0);
	assert_int_equal(typed_add(&t, "e", 1), -ENOBUFS);
	typed_went(&t, 3);
	assert_int_equal(typed_room(&t), 0);
	assert_int_equal(typed_drop(&t), 3);
	assert_true(typed_is_empty(&t));
	assert_int_equal(typed_add(&t, "xy", 2), 0);
	assert_int_equal(typed_next(&t, &p), 2);
	typed_went(&t, 2);
	assert_int_equal(typed_had(&t, 2, &lost), 0);
	assert_true(typed_is_empty(&t));
	typed_fini(&t);
}

/* A hub that has each byte as it comes, on a wire that breaks anywhere, and that now and then is
 * started anew. */
static void any_order_of_breaks(void **state)
{
	static uint8_t had[200000];
	uint64_t hub_had = TYPED_UNKNOWN;
	size_t n_had = 0, n_typed = 0, lost_told = 0, on_wire = 0, lost;
	uint8_t wire[64];
	struct typed t;

	srandom(11);
	typed_init(&t, 7, 64);
	typed_connect(&t);
	for (int step = 0; step < 100000; step++) {
		uint8_t byte = (uint8_t)(n_typed % 251);
		const uint8_t *p;
		size_t len;

		switch (random() % 8) {
		case 0:
		case 1:
			n_typed += typed_add(&t, &byte, 1) == 0;
			break;
		case 2:
		case 3:
			len = MIN(typed_next(&t, &p), sizeof(wire) - on_wire);
			if (len > 0) {
				memcpy(wire + on_wire, p, len);
				on_wire += len;
				typed_went(&t, len);
			}
			break;
		case 4:
		case 5: /* the hub reads, and says so */
			if (t.answered && on_wire > 0) {
				len = 1 + (size_t)random() % on_wire;
				memcpy(had + n_had, wire, len);
				n_had += len;
				hub_had += len;
				memmove(wire, wire + len, on_wire - len);
				on_wire -= len;
				if (random() % 2) {
					assert_int_equal(typed_had(&t, hub_had, &lost), 0);
				}
			}
			break;
		case 6: /* it breaks */
			if (random() % 16 == 0) {
				on_wire = 0;
				typed_connect(&t);
				hub_had = random() % 4 ? hub_had : TYPED_UNKNOWN;
			}
			break;
		default:
			if (!t.answered) {
				assert_int_equal(typed_had(&t, hub_had, &lost), 0);
				lost_told += lost;
				hub_had = hub_had == TYPED_UNKNOWN ? 0 : hub_had;
			}
		}
		assert_true(n_had < sizeof(had) - 64);
	}
	/* In order, none twice, and none missing that was not told to be perhaps lost. */
	for (size_t i = 0, next = 0; i < n_had; i++, next++) {
		while (had[i] != next % 251) {
			assert_true(lost_told-- > 0);
			next++;
		}
	}
	assert_true(n_had > 10000);
	typed_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goes_when_the_hub_has_answered),
		cmocka_unit_test(answers_that_cannot_be),
		cmocka_unit_test(is_bounded_and_can_be_dropped),
		cmocka_unit_test(any_order_of_breaks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
