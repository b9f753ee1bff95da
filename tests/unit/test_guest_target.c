/* SPDX-License-Identifier: Apache-2.0 */
/* The `target` command's own logic: answers to verbs, and escape keys. */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "verb.h"

static char notes[256];

static void take_note(const char *text, void *user)
{
	snprintf(notes + strlen(notes), sizeof(notes) - strlen(notes), "%s;", text);
}

static void read_all(struct verb_reader *r, const char *text, size_t piece)
{
	notes[0] = '\0';
	verb_reader_init(r, take_note, NULL);
	for (size_t at = 0; at < strlen(text); at += piece) {
		assert_int_equal(verb_reader_input(r, (const uint8_t *)text + at,
						   MIN(piece, strlen(text) - at)),
				 0);
	}
}

static void verb_answers(void **state)
{
	struct verb_reader r;

	for (size_t piece = 1; piece < 40; piece += 3) {
		read_all(&r, "note one\nnote two words\nok {\"devices\":[]}\n", piece);
		assert_true(r.done);
		assert_int_equal(r.fault.code, FAULT_NONE);
		assert_string_equal(r.text, "{\"devices\":[]}");
		assert_string_equal(notes, "one;two words;");
		verb_reader_fini(&r);

		read_all(&r, "fault vm-running the VM runs|Switch it off first.\n", piece);
		assert_true(r.done);
		assert_int_equal(r.fault.code, FAULT_VM_RUNNING);
		assert_string_equal(r.fault.message, "the VM runs");
		assert_string_equal(r.fault.hint, "Switch it off first.");
		verb_reader_fini(&r);
	}
	read_all(&r, "ok\n", 10);
	assert_true(r.done);
	assert_string_equal(r.text, "");
	verb_reader_fini(&r);
	read_all(&r, "fault vm-running\n", 100);
	assert_int_equal(r.fault.code, FAULT_VM_RUNNING);
	assert_true(r.fault.message[0]);
	verb_reader_fini(&r);
	read_all(&r, "ok half", 100);
	assert_false(r.done);
	verb_reader_fini(&r);
}

static void verb_nonsense(void **state)
{
	static const char *const bad[] = { "hello\n", "\n", "ok \x01\n", "OK\n" };
	static uint8_t endless[20000];
	struct verb_reader r;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		verb_reader_init(&r, NULL, NULL);
		assert_int_equal(verb_reader_input(&r, (const uint8_t *)bad[i], strlen(bad[i])),
				 -EPROTO);
		verb_reader_fini(&r);
	}
	memset(endless, 'x', sizeof(endless));
	verb_reader_init(&r, NULL, NULL);
	assert_int_equal(verb_reader_input(&r, endless, sizeof(endless)), -EPROTO);
	verb_reader_fini(&r);
}

/* What goes to the guest of `keys`; *ret_action is the last thing wanted of us. */
static const char *type(const char *keys, enum escape_action *ret_action)
{
	static char sent[64];
	struct escape e = ESCAPE_INIT;
	size_t n = 0;

	*ret_action = ESCAPE_NONE;
	for (; *keys; keys++) {
		unsigned char out[2];
		size_t len;
		enum escape_action action = escape_key(&e, (unsigned char)*keys, out, &len);

		memcpy(sent + n, out, len);
		n += len;
		if (action != ESCAPE_NONE) {
			*ret_action = action;
		}
	}
	sent[n] = '\0';
	return sent;
}

static void escape_keys(void **state)
{
	static const struct {
		const char *keys, *sent;
		enum escape_action action;
	} cases[] = {
		{ "ls\r", "ls\r", ESCAPE_NONE },     { "~.", "", ESCAPE_QUIT },
		{ "a~.", "a~.", ESCAPE_NONE },	     { "a\r~.", "a\r", ESCAPE_QUIT },
		{ "\r~~.", "\r~.", ESCAPE_NONE },    { "\r~B", "\r", ESCAPE_BREAK },
		{ "\r~w", "\r", ESCAPE_TAKE },	     { "\r~?x", "\rx", ESCAPE_HELP },
		{ "\r~x~.", "\r~x~.", ESCAPE_NONE }, { "\r~\r~.", "\r~\r", ESCAPE_QUIT },
		{ "abc\x1d", "abc", ESCAPE_QUIT },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		enum escape_action action;

		assert_string_equal(type(cases[i].keys, &action), cases[i].sent);
		assert_int_equal(action, cases[i].action);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verb_answers),
		cmocka_unit_test(verb_nonsense),
		cmocka_unit_test(escape_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
