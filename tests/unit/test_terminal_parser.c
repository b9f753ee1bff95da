/* SPDX-License-Identifier: Apache-2.0 */
/* Characters and sequences out of bytes: what is taken, what is read over, and what is still to
 * come. */
#include <stdio.h>
#include <string.h>

#include "terminal_parser.h"
#include "test.h"

static char seen[1024];

static void note(const char *text)
{
	assert_true(strlen(seen) + strlen(text) < sizeof(seen));
	strcat(seen, text);
}

static void on_print(uint32_t c, void *user)
{
	char text[16];

	snprintf(text, sizeof(text), c < 0x80 ? "%c" : "<%X>", c);
	note(text);
}

static void on_control(uint8_t c, void *user)
{
	char text[16];

	snprintf(text, sizeof(text), "^%c", c + 64);
	note(text);
}

static char shown(char intermediate)
{
	return intermediate == '\1' ? '*' : intermediate ? intermediate : '-';
}

static void on_escape(char intermediate, char final, void *user)
{
	char text[16];

	snprintf(text, sizeof(text), "{%c%c}", shown(intermediate), final);
	note(text);
}

static void on_csi(const struct terminal_csi *csi, void *user)
{
	char text[16];

	snprintf(text, sizeof(text), "[%c%c", csi->leader ? csi->leader : '-',
		 shown(csi->intermediate));
	note(text);
	for (unsigned i = 0; i < csi->n_params; i++) {
		snprintf(text, sizeof(text), "%c%u", csi->sub >> i & 1 ? ':' : ';', csi->params[i]);
		note(text);
	}
	snprintf(text, sizeof(text), "%c]", csi->final);
	note(text);
}

static void on_text(const uint8_t *p, size_t len, void *user)
{
	assert_true(len > 0);
	for (size_t i = 0; i < len; i++) {
		assert_in_range(p[i], 0x20, 0x7e);
		on_print(p[i], user);
	}
}

static const struct terminal_parser_ops ops = {
	.print = on_print,
	.text = on_text,
	.control = on_control,
	.escape = on_escape,
	.csi = on_csi,
};

static void check(const char *bytes, const char *expected)
{
	struct terminal_parser p;

	seen[0] = '\0';
	terminal_parser_init(&p);
	terminal_parser_feed(&p, (const uint8_t *)bytes, strlen(bytes), &ops, NULL);
	assert_string_equal(seen, expected);
}

static void sequences(void **state)
{
	check("a\033[mb\033[1;22H\033[?25l\033[>c\033[4:3m",
	      "a[--m]b[--;1;22H][?-;25l][>-c][--;4:3m]");
	check("\033[;5H\033[2 q\033[!p\033[1$!x", "[--;0;5H][- ;2q][-!p][-*;1x]");
	check("\0337\033(0\033#8\033%G\033$(Cx", "{-7}{(0}{#8}{%G}{*C}x");
	check("\r\n\t\b\a", "^M^J^I^H^G");
	/* a control in the middle of a sequence is done, and the sequence goes on */
	check("\033[1\n;2m", "^J[--;1;2m]");
	/* broken off */
	check("\033[1\033[2m\033[3\030x\033[4\032y", "[--;2m]xy");
	/* wrong ones are read over to their end */
	check("\033[1?mx\033[1 2my\033[?1<mz", "xyz");
}

static void strings(void **state)
{
	check("a\033]0;x\ny\007b\033Pq\007c\033\\d\033X1\033\\e\033^2\033\\f\033_3\033\\g",
	      "ab{-\\}d{-\\}e{-\\}f{-\\}g");
	check("\033]0;x\030a\033]0;x\033[mb", "a[--m]b");
}

static void numbers_are_bounded(void **state)
{
	check("\033[99999999999999999999m", "[--;65535m]");
	check("\033[1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17;18m",
	      "[--;1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16m]");
	check("\033[:::::::::::::::::::::::::::m", "[--;0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0m]");
}

static void characters(void **state)
{
	check("\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80", "<E9><4E2D><1F600>");
	check("\xffx\xe4\xb8y\xe4\n\xc2\x9bz", "<FFFD>x<FFFD>y<FFFD>^Jz");
	check("\xe4\033[m\x7f", "<FFFD>[--m]");
}

static void pending_is_what_is_needed_to_go_on(void **state)
{
	static const char *const unfinished[] = { "\033",    "\033[", "\033[1;2",
						  "\033[1 ", "\033(", "\033]0;ti" };
	struct terminal_parser p;

	for (size_t i = 0; i < ARRAY_SIZE(unfinished); i++) {
		terminal_parser_init(&p);
		terminal_parser_feed(&p, (const uint8_t *)"x", 1, &ops, NULL);
		terminal_parser_feed(&p, (const uint8_t *)unfinished[i], strlen(unfinished[i]),
				     &ops, NULL);
		assert_int_equal(p.pending_len, strlen(unfinished[i]));
		assert_memory_equal(p.pending, unfinished[i], p.pending_len);
		terminal_parser_feed(&p, (const uint8_t *)"\030", 1, &ops, NULL);
		assert_int_equal(p.pending_len, 0);
	}
	terminal_parser_feed(&p, (const uint8_t *)"\033]", 2, &ops, NULL);
	for (unsigned i = 0; i < 10000; i++) {
		terminal_parser_feed(&p, (const uint8_t *)"y", 1, &ops, NULL);
	}
	assert_int_equal(p.pending_len, TERMINAL_PENDING_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sequences),
		cmocka_unit_test(strings),
		cmocka_unit_test(numbers_are_bounded),
		cmocka_unit_test(characters),
		cmocka_unit_test(pending_is_what_is_needed_to_go_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
