/* SPDX-License-Identifier: Apache-2.0 */
/* Keys by name. */
#include "keys.h"

#include <errno.h>
#include <linux/input-event-codes.h>
#include <stdbool.h>
#include <string.h>

#include "test.h"

static void expect(const char *text, size_t n, const unsigned *codes)
{
	struct chord chord;

	assert_int_equal(chord_parse(text, &chord), 0);
	assert_int_equal(chord.n, n);
	assert_memory_equal(chord.codes, codes, n * sizeof(*codes));
}

static void parses_chords(void **state)
{
	expect("ctrl-alt-del", 3, (const unsigned[]){ KEY_LEFTCTRL, KEY_LEFTALT, KEY_DELETE });
	expect("Ctrl+Alt+F2", 3, (const unsigned[]){ KEY_LEFTCTRL, KEY_LEFTALT, KEY_F2 });
	expect("alt-sysrq-b", 3, (const unsigned[]){ KEY_LEFTALT, KEY_SYSRQ, KEY_B });
	expect("enter", 1, (const unsigned[]){ KEY_ENTER });
	expect("pgup", 1, (const unsigned[]){ KEY_PAGEUP });
	expect("a-b-c-d-e-f-g-h", 8,
	       (const unsigned[]){ KEY_A, KEY_B, KEY_C, KEY_D, KEY_E, KEY_F, KEY_G, KEY_H });
}

static void refuses_others(void **state)
{
	static const char *const refused[] = {
		"",
		"-",
		"ctrl-",
		"-a",
		"ctrl--a",
		"hyper",
		"ctrl-ctrl",
		"ctrl-leftctrl",
		" a",
		"a b",
		"a-b-c-d-e-f-g-h-i",
		"f25",
		"KEY_A",
		"\xc3\xa4",
	};
	struct chord chord;

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		assert_int_equal(chord_parse(refused[i], &chord), -EINVAL);
	}
}

/* Each printable character has its keys, and none two. */
static void types_ascii(void **state)
{
	struct chord chord, seen[128];
	size_t n = 0;

	for (int c = 0; c < 256; c++) {
		bool there = c >= 32 && c < 127;

		assert_int_equal(chord_of_char((char)c, &chord), there ? 0 : -EINVAL);
		for (size_t i = 0; there && i < n; i++) {
			assert_false(seen[i].n == chord.n &&
				     memcmp(seen[i].codes, chord.codes,
					    chord.n * sizeof(chord.codes[0])) == 0);
		}
		if (there) {
			seen[n++] = chord;
		}
	}
	assert_int_equal(chord_of_char('A', &chord), 0);
	assert_int_equal(chord.n, 2);
	assert_int_equal(chord.codes[0], KEY_LEFTSHIFT);
	assert_int_equal(chord.codes[1], KEY_A);
	assert_int_equal(chord_of_char('/', &chord), 0);
	assert_int_equal(chord.n, 1);
	assert_int_equal(chord.codes[0], KEY_SLASH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses_chords),
		cmocka_unit_test(refuses_others),
		cmocka_unit_test(types_ascii),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
