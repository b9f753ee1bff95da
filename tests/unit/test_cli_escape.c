/* SPDX-License-Identifier: Apache-2.0 */
/* Escape keys of the interactive console. */
#include <errno.h>
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
		{ "~sh", "", ESCAPE_SYSRQ },
		{ "~sh~.", "", ESCAPE_QUIT },
		{ "~s~x", "x", ESCAPE_SYSRQ },
		{ "~w", "", ESCAPE_SIZE },
		{ "~P", "", ESCAPE_PASTE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char sent[64];

		assert_int_equal(type(cases[i].keys, sent), cases[i].action);
		assert_string_equal(sent, cases[i].sent);
	}
}

static void files_of_others_are_not_pasted(void **state)
{
	struct escape e = ESCAPE_INIT;
	char help[4096] = "";
	uint8_t out[2];
	size_t len;
	FILE *f = fmemopen(help, sizeof(help) - 1, "w");

	assert_non_null(f);
	e.no_files = true;
	assert_int_equal(escape_input(&e, '~', out, &len), ESCAPE_NONE);
	assert_int_equal(escape_input(&e, 'P', out, &len), ESCAPE_NONE);
	assert_int_equal(len, 2);
	assert_memory_equal(out, "~P", 2);
	escape_help(&e, f);
	fclose(f);
	assert_null(strstr(help, "paste"));
	assert_non_null(strstr(help, "break"));
}

static void the_key_can_be_another_or_none(void **state)
{
	static const struct {
		const char *word;
		int r;
		uint8_t key;
	} cases[] = {
		{ "~", 0, '~' },      { "none", 0, 0 },	    { "^]", 0, 0x1d },
		{ "^a", 0, 1 },	      { "^A", 0, 1 },	    { "%", 0, '%' },
		{ "", -EINVAL, 0 },   { "ab", -EINVAL, 0 }, { "^M", -EINVAL, 0 },
		{ "^j", -EINVAL, 0 }, { "^@", -EINVAL, 0 }, { " ", -EINVAL, 0 },
		{ "^1", -EINVAL, 0 }, { "\t", -EINVAL, 0 },
	};
	struct escape e = ESCAPE_INIT;
	uint8_t out[2];
	size_t len;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t key = 0;

		assert_int_equal(escape_parse(cases[i].word, &key), cases[i].r);
		assert_int_equal(key, cases[i].key);
	}
	e.key = '.'; /* also where it is a command's */
	escape_input(&e, '.', out, &len);
	assert_int_equal(len, 0);
	assert_int_equal(escape_input(&e, '.', out, &len), ESCAPE_NONE);
	assert_int_equal(len, 1);
	e = (struct escape){ .line_start = true };
	for (int key = 0; key < 256; key++) {
		assert_int_equal(escape_input(&e, (uint8_t)key, out, &len), ESCAPE_NONE);
		assert_int_equal(len, 1);
		assert_int_equal(out[0], key);
	}
}

static void the_help_names_every_key(void **state)
{
	struct escape escape = ESCAPE_INIT;
	char help[2048] = "";
	FILE *f = fmemopen(help, sizeof(help), "w");

	escape_help(&escape, f);
	fclose(f);
	for (int key = 1; key < 256; key++) {
		struct escape e = ESCAPE_INIT;
		uint8_t out[2];
		size_t len;
		char name[3] = { '~', (char)key, '\0' };

		escape_input(&e, '~', out, &len);
		if (escape_input(&e, (uint8_t)key, out, &len) != ESCAPE_NONE) {
			assert_non_null(strstr(help, name));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_do_what_they_should),
		cmocka_unit_test(files_of_others_are_not_pasted),
		cmocka_unit_test(the_key_can_be_another_or_none),
		cmocka_unit_test(the_help_names_every_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
