/* SPDX-License-Identifier: Apache-2.0 */
/* What a console command waits for, types, pastes and shows. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "paste.h"
#include "script.h"
#include "shown.h"
#include "test.h"

static const struct option_def table[] = {
	{ "expect", 'e', "REGEX", "" },
	{ "send", 's', "TEXT", "" },
	{ "other", 0, "X", "" },
	OPTION_END,
};

static int script_of(struct script **ret, struct fault *fault, int argc, char **argv)
{
	struct args args;
	int r;

	assert_int_equal(args_parse(table, SIZE_MAX, argc, argv, &args, fault), 0);
	r = script_new(&args, ret, fault);
	args_fini(&args);
	return r;
}
#define SCRIPT(s, fault, ...)                                                                      \
	script_of((s), (fault), (int)ARRAY_SIZE(((char *[]){ __VA_ARGS__ })),                      \
		  (char *[]){ __VA_ARGS__ })

static void says(struct script *s, struct typed *t, const char *text)
{
	assert_int_equal(script_said(s, (const uint8_t *)text, strlen(text)), 0);
	assert_int_equal(script_go(s, t), 0);
}

static void check_typed(struct typed *t, const char *text)
{
	assert_int_equal(buf_len(&t->queue), strlen(text));
	assert_memory_equal(buf_data(&t->queue), text, strlen(text));
	buf_clear(&t->queue);
}

static void steps_go_in_order(void **state)
{
	struct script *s = NULL;
	struct fault fault;
	struct typed t;

	typed_init(&t, 1, 4096);
	assert_int_equal(SCRIPT(&s, &fault, "-s", "\\r", "-e", "login: $", "--other", "x", "-s",
				"root\\r\\n\\x41\\\\", "-e", "^(a|b)+$", "-e", "x"),
			 0);
	assert_int_equal(script_go(s, &t), 0);
	check_typed(&t, "\r");
	assert_string_equal(script_waits_for(s), "login: $");
	says(s, &t, "xx\r\nlog");
	check_typed(&t, "");
	says(s, &t, "in: ");
	check_typed(&t, "root\r\nA\\");
	/* what matched once is not looked at again; the end of a line is one without its return */
	assert_string_equal(script_waits_for(s), "^(a|b)+$");
	says(s, &t, "\r\nabc\r\n");
	assert_string_equal(script_waits_for(s), "^(a|b)+$");
	says(s, &t, "aba\r\nx");
	assert_true(script_is_over(s));
	assert_null(script_waits_for(s));
	script_free(s);
	typed_fini(&t);
}

static void a_text_waits_for_room(void **state)
{
	struct script *s = NULL;
	struct fault fault;
	struct typed t;

	typed_init(&t, 1, 4);
	assert_int_equal(SCRIPT(&s, &fault, "-s", "abc", "-s", "def"), 0);
	assert_int_equal(script_go(s, &t), 0);
	check_typed(&t, "abc");
	assert_false(script_is_over(s));
	assert_int_equal(script_go(s, &t), 0);
	check_typed(&t, "def");
	assert_true(script_is_over(s));
	script_free(s);
	typed_fini(&t);
}

/* However much the guest says: the last of it counts. */
static void what_was_seen_is_bounded(void **state)
{
	static char noise[3 * SCRIPT_SEEN_MAX];
	struct script *s = NULL;
	struct fault fault;
	struct typed t;

	typed_init(&t, 1, 4);
	memset(noise, 'n', sizeof(noise) - 1);
	assert_int_equal(SCRIPT(&s, &fault, "-e", "start.*end"), 0);
	says(s, &t, "start");
	says(s, &t, noise);
	says(s, &t, "end");
	assert_false(script_is_over(s));
	says(s, &t, "start");
	noise[1000] = '\0';
	says(s, &t, noise);
	says(s, &t, "end");
	assert_true(script_is_over(s));
	script_free(s);
	typed_fini(&t);
}

static void bad_steps_are_refused(void **state)
{
	static const char *const texts[] = { "\\", "\\q", "\\x4", "\\xzz", "abc\\" };
	struct script *s = NULL;
	struct fault fault;
	char out[8];
	size_t len;

	assert_int_equal(SCRIPT(&s, &fault, "-e", "ok", "-e", "("), -EREMOTEIO);
	assert_int_equal(fault.code, FAULT_BAD_VALUE);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(SCRIPT(&s, &fault, "-s", "ok", "-s", (char *)texts[i]),
				 -EREMOTEIO);
	}
	assert_int_equal(script_unescape("12345678", out, sizeof(out), &len), 0);
	assert_int_equal(len, 8);
	assert_int_equal(script_unescape("123456789", out, sizeof(out), &len), -EINVAL);
	assert_int_equal(SCRIPT(&s, &fault, "--other", "x"), 0);
	assert_null(s);
}

/* Runs `fn` with stdout in a file; what came stands in `out`. */
static size_t shown_of(const char *grep, const char *const *pieces, char *out, size_t size)
{
	char path[] = "/tmp/test-shown-XXXXXX";
	int fd = mkstemp(path), saved = dup(STDOUT_FILENO);
	struct fault fault;
	struct shown s;
	ssize_t n;

	assert_true(fd >= 0 && saved >= 0);
	fflush(stdout);
	assert_int_equal(dup2(fd, STDOUT_FILENO), STDOUT_FILENO);
	assert_int_equal(shown_init(&s, NULL, grep, &fault), 0);
	for (; *pieces; pieces++) {
		assert_int_equal(shown_bytes(&s, (const uint8_t *)*pieces, strlen(*pieces)), 0);
	}
	assert_int_equal(shown_end(&s), 0);
	shown_fini(&s);
	assert_int_equal(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
	close(saved);
	n = pread(fd, out, size - 1, 0);
	assert_true(n >= 0);
	out[n] = '\0';
	close(fd);
	unlink(path);
	return (size_t)n;
}

static void lines_are_chosen(void **state)
{
	static const char *const pieces[] = {
		"one\r\ntw",	   "o\r\n", "\033[1;31mE\033[0mrror: x\r\n\033]0;E",
		"rror\007y\r\nEr", "ror",   NULL
	};
	char out[256];

	shown_of(NULL, pieces, out, sizeof(out));
	assert_string_equal(
		out, "one\r\ntwo\r\n\033[1;31mE\033[0mrror: x\r\n\033]0;Error\007y\r\nError");
	shown_of("two|^Error", pieces, out, sizeof(out));
	assert_string_equal(out, "two\r\n\033[1;31mE\033[0mrror: x\r\nError");
	shown_of("^y$", pieces, out, sizeof(out));
	assert_string_equal(out, "\033]0;Error\007y\r\n");
}

static void long_lines_are_cut(void **state)
{
	static char line[3 * SHOWN_LINE_MAX], out[sizeof(line) + 64];
	const char *pieces[] = { line, "tail\n", NULL };

	memset(line, 'x', sizeof(line) - 1);
	assert_int_equal(shown_of("x", pieces, out, sizeof(out)), sizeof(line) - 1 + 5);
	/* the piece with the end of it alone has no x */
	line[SHOWN_LINE_MAX - 1] = '\0';
	assert_int_equal(shown_of("x", pieces, out, sizeof(out)), SHOWN_LINE_MAX - 1);
}

static void the_log_is_appended_to(void **state)
{
	char path[] = "/tmp/test-log-XXXXXX", text[64] = { 0 };
	int fd = mkstemp(path);
	struct fault fault;
	struct shown s;

	assert_int_equal(write(fd, "old\n", 4), 4);
	assert_int_equal(shown_init(&s, path, "2", &fault), 0);
	assert_int_equal(shown_bytes(&s, (const uint8_t *)"1\n", 2), 0);
	shown_fini(&s);
	assert_true(pread(fd, text, sizeof(text) - 1, 0) > 0);
	assert_string_equal(text, "old\n");
	close(fd);
	unlink(path);
	assert_int_equal(shown_init(&s, "/nonexistent/log", NULL, &fault), -EREMOTEIO);
	shown_fini(&s);
	assert_int_equal(shown_init(&s, NULL, "[", &fault), -EREMOTEIO);
	shown_fini(&s);
}

static void paste_of(struct paste *p, const char *text, bool echo)
{
	char path[] = "/tmp/test-paste-XXXXXX";
	int fd = mkstemp(path);
	struct fault fault;

	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	paste_init(p);
	assert_int_equal(paste_open(p, path, echo, &fault), 0);
	unlink(path);
}

static void a_file_is_pasted(void **state)
{
	struct paste p;
	struct typed t;

	typed_init(&t, 1, 4);
	paste_of(&p, "abcdef", false);
	assert_int_equal(paste_go(&p, &t, 1), 0);
	check_typed(&t, "abcd");
	assert_int_equal(paste_go(&p, &t, 1), 0);
	assert_false(paste_wants(&p, &t) && buf_len(&t.queue) == 4);
	check_typed(&t, "ef");
	assert_int_equal(paste_go(&p, &t, 1), 0);
	assert_true(paste_is_over(&p));
	assert_true(paste_deadline(&p) == USEC_INFINITY);
	assert_int_equal(p.bytes, 6);
	paste_fini(&p);
	typed_fini(&t);
}

static void it_is_never_far_ahead_of_its_echo(void **state)
{
	char text[3 * PASTE_AHEAD + 1];
	const char *echo = text;
	struct paste p;
	struct typed t;
	usec_t now = 5;

	memset(text, 'x', sizeof(text));
	text[10] = '\n';
	text[11] = '\004'; /* has no echo of its own */
	text[12] = '\r';
	text[sizeof(text) - 1] = '\0';
	typed_init(&t, 1, 4096);
	paste_of(&p, text, true);
	while (!paste_is_over(&p)) {
		assert_int_equal(paste_go(&p, &t, ++now), 0);
		assert_true(buf_len(&p.awaited) <= PASTE_AHEAD);
		if (buf_len(&p.awaited) > 0) {
			assert_false(paste_wants(&p, &t) && buf_len(&p.awaited) == PASTE_AHEAD);
			assert_true(paste_deadline(&p) != USEC_INFINITY);
			/* among a prompt and newlines that became two bytes */
			paste_said(&p, (const uint8_t *)"> \r\n", *echo == '\n' ? 4 : 2, now);
			paste_said(&p, (const uint8_t *)echo, 1, now);
			echo += echo[0] == '\n' ? 2 : 1;
			assert_true(buf_len(&p.awaited) == 0 ||
				    paste_deadline(&p) == now + PASTE_PATIENCE);
		}
	}
	assert_int_equal(buf_len(&t.queue), sizeof(text) - 1);
	paste_fini(&p);
	typed_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steps_go_in_order),
		cmocka_unit_test(a_text_waits_for_room),
		cmocka_unit_test(what_was_seen_is_bounded),
		cmocka_unit_test(bad_steps_are_refused),
		cmocka_unit_test(lines_are_chosen),
		cmocka_unit_test(long_lines_are_cut),
		cmocka_unit_test(the_log_is_appended_to),
		cmocka_unit_test(a_file_is_pasted),
		cmocka_unit_test(it_is_never_far_ahead_of_its_echo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
