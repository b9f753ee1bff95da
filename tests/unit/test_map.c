/* SPDX-License-Identifier: Apache-2.0 */
/* The map against a plain array that does the same. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "map.h"
#include "test.h"

#define KEYS 500

static char values[2 * KEYS];

static const char *key_of(unsigned i, char out[16])
{
	snprintf(out, 16, "key-%u", i);
	return out;
}

static void does_what_an_array_does(void **state)
{
	struct map *m = map_new();
	void *model[KEYS] = { NULL };
	size_t size = 0;
	char key[16];

	assert_non_null(m);
	srandom(1);
	for (int step = 0; step < 50000; step++) {
		unsigned i = (unsigned)random() % KEYS;
		void *value = &values[(unsigned)random() % sizeof(values)], *old = &old;

		switch (random() % 3) {
		case 0:
			assert_int_equal(map_put(m, key_of(i, key), value, &old), 0);
			assert_ptr_equal(old, model[i]);
			size += !model[i];
			model[i] = value;
			break;
		case 1:
			assert_ptr_equal(map_remove(m, key_of(i, key)), model[i]);
			size -= model[i] != NULL;
			model[i] = NULL;
			break;
		default:
			assert_ptr_equal(map_get(m, key_of(i, key)), model[i]);
			break;
		}
		assert_int_equal(map_size(m), size);
	}
	map_free(m);
}

static void iteration_sees_each_once_and_may_remove(void **state)
{
	struct map *m = map_new();
	bool seen[KEYS] = { false };
	const char *key;
	char text[16];
	size_t it = 0;
	char *value;

	assert_non_null(m);
	assert_null(map_next(m, &it, &key));
	for (unsigned i = 0; i < KEYS; i++) {
		assert_int_equal(map_put(m, key_of(i, text), &values[i], NULL), 0);
	}
	it = 0;
	while ((value = map_next(m, &it, &key))) {
		size_t i = (size_t)(value - values);

		assert_string_equal(key, key_of((unsigned)i, text));
		assert_false(seen[i]);
		seen[i] = true;
		if (i % 2) {
			assert_ptr_equal(map_remove(m, text), value);
		}
	}
	for (unsigned i = 0; i < KEYS; i++) {
		assert_true(seen[i]);
		assert_ptr_equal(map_get(m, key_of(i, text)), i % 2 ? NULL : &values[i]);
	}
	assert_int_equal(map_size(m), KEYS / 2);
	map_free(m);
}

/* A key that comes and goes for ever must not let the table grow or its searches get longer. */
static void graves_are_cleared(void **state)
{
	struct map *m = map_new();
	char key[16];

	assert_non_null(m);
	assert_null(map_remove(m, ""));
	for (unsigned i = 0; i < 200000; i++) {
		assert_int_equal(map_put(m, key_of(i, key), values, NULL), 0);
		assert_ptr_equal(map_remove(m, key), values);
	}
	assert_int_equal(map_size(m), 0);
	map_free(m);
	assert_null(map_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(does_what_an_array_does),
		cmocka_unit_test(iteration_sees_each_once_and_may_remove),
		cmocka_unit_test(graves_are_cleared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
