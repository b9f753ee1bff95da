/* SPDX-License-Identifier: Apache-2.0 */
/* Escape keys of the interactive console. */
#include <string.h>

#include "escape.h"
#include "test.h"

/* Types `keys`; *ret gets what is sent. Returns the last action that was not ESCAPE_NONE. */
static enum escape_action type(const char *keys, char *ret)
{
	struct escape e = ESCAPE_INIT;
	enum escape_action last = ESCAPE_NONE;
	size_t n = 0;

	for (; *keys; keys++) {
		uint8_t out[2];
		size_t len;
		enum escape_action action = escape_input(&e, (uint8_t)*keys, out, &len);

		assert_true(len <= sizeof(out));
		memcpy(ret + n, out, len);
		n += len;
		last = action == ESCAPE_NONE ? last : action;
	}
	ret[n] = '\0';
	return last;
}

static void keys_do_what_they_should(void **state)
{
	static const struct {
		const char *keys, *sent;
		enum escape_action action;
	} cases[] = {
		{ "~.", "", ESCAPE_QUIT },
		{ "ls\r~.", "ls\r", ESCAPE_QUIT },
		{ "ls\n~?", "ls\n", ESCAPE_HELP },
		{ "ls~.", "ls~.", ESCAPE_NONE },
		{ "~~", "~", ESCAPE_NONE },
		{ "~~.", "~.", ESCAPE_NONE },
		{ "~x", "~x", ESCAPE_NONE },
		{ "~x~.", "~x~.", ESCAPE_NONE },
		{ "~\r", "~\r", ESCAPE_NONE },
		{ "~\r~.", "~\r", ESCAPE_QUIT },
		{ "~B~.", "", ESCAPE_QUIT },
		{ "~B", "", ESCAPE_BREAK },
		{ "\r~W", "\r", ESCAPE_TAKE },
		{ "~", "", ESCAPE_NONE },
		{ "cd ~/x\r", "cd ~/x\r", ESCAPE_NONE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char sent[64];

		assert_int_equal(type(cases[i].keys, sent), cases[i].action);
		assert_string_equal(sent, cases[i].sent);
	}
}

static void the_help_names_every_key(void **state)
{
	for (int key = 1; key < 256; key++) {
		struct escape e = ESCAPE_INIT;
		uint8_t out[2];
		size_t len;
		char name[3] = { '~', (char)key, '\0' };

		escape_input(&e, '~', out, &len);
		if (escape_input(&e, (uint8_t)key, out, &len) != ESCAPE_NONE) {
			assert_non_null(strstr(escape_help, name));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_do_what_they_should),
		cmocka_unit_test(the_help_names_every_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
