/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of a login over SSH: what is taken becomes these words of dvm's, and nothing
 * else is taken. */
#include "command.h"

#include <errno.h>
#include <string.h>

#include "test.h"

static struct door_command command;
static struct fault fault;

static int parse(const char *line)
{
	return door_command_parse(line, &command, &fault);
}

/* The words, each followed by a blank. */
static const char *words(void)
{
	static char text[DOOR_LINE_MAX * 2];

	text[0] = '\0';
	for (size_t i = 0; i < command.argc; i++) {
		strcat(strcat(text, command.argv[i]), " ");
	}
	assert_null(command.argv[command.argc]);
	return text;
}

static void takes_what_is_in_the_table(void **state)
{
	static const struct {
		const char *line;
		enum door_verb verb;
		bool terminal;
		const char *words;
	} good[] = {
		{ NULL, DOOR_LIST, true, "" },
		{ "", DOOR_LIST, true, "" },
		{ "   ", DOOR_LIST, true, "" },
		{ "list", DOOR_LIST, true, "" },
		{ "help", DOOR_HELP, false, "" },
		{ "console web-1", DOOR_CONSOLE, true, "console web-1 " },
		{ " console  -r red/web-1 ", DOOR_CONSOLE, true, "console --read-only red/web-1 " },
		{ "console web-1 --take --from=12", DOOR_CONSOLE, true,
		  "console web-1 --take --from 12 " },
		{ "debug web-1", DOOR_DEBUG, false, "debug --no-key web-1 " },
		{ "debug a b --stack disk,net -l 2h", DOOR_DEBUG, false,
		  "debug --no-key a b --stack disk,net --lease 2h " },
		{ "end s-7m2x9qkd", DOOR_END, false, "session end s-7m2x9qkd " },
		{ "power off web-1 -w", DOOR_POWER, false, "power off web-1 --wait " },
		{ "proxy s-7m2x9qkd.dvm", DOOR_PROXY, false, "proxy s-7m2x9qkd.dvm " },
		{ "known-hosts s-1.dvm", DOOR_KNOWN_HOSTS, false, "known-hosts s-1.dvm " },
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(parse(good[i].line), 0);
		assert_int_equal(command.verb, good[i].verb);
		assert_int_equal(command.terminal, good[i].terminal);
		assert_string_equal(words(), good[i].words);
	}
}

static void refuses_everything_else(void **state)
{
	static const char *const bad[] = {
		"sh",
		"LIST",
		"list x",
		"list;id",
		"list\nid",
		"list\tx",
		"'list'",
		"console",
		"console a b",
		"console web-1 --until x",
		"console web-1 --",
		"console --",
		"console -",
		"console web-1 -rt",
		"console --read-only=yes web-1",
		"console web-1 --from",
		"console web-1 --from=",
		"console web-1 --from -r",
		"console web-1 --fro 1",
		"debug",
		"debug a b c d e f g h i",
		"debug web-1 --no-key",
		"debug web-1 --key=/etc/passwd",
		"debug web-1 --stack=--image",
		"power off",
		"power off web-1 web-2",
		"proxy --help",
		"help me",
		"vm list",
		"up",
		"$(id)",
		"console ~root",
		"console *",
		"console \xc3\xa4",
		"internal-sftp",
		"-",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse(bad[i]), -EREMOTEIO);
		assert_int_equal(fault.code, FAULT_BAD_REQUEST);
		assert_true(fault.hint[0] != '\0');
	}
}

static void bounds_what_it_takes(void **state)
{
	static char line[DOOR_LINE_MAX * 2];

	memset(line, ' ', DOOR_LINE_MAX);
	assert_int_equal(parse(line), 0);
	line[DOOR_LINE_MAX] = ' ';
	assert_int_equal(parse(line), -EREMOTEIO);
	strcpy(line, "console ");
	memset(line + 8, 'v', DOOR_WORD_MAX);
	line[8 + DOOR_WORD_MAX] = '\0';
	assert_int_equal(parse(line), 0);
	line[8 + DOOR_WORD_MAX] = 'v';
	line[8 + DOOR_WORD_MAX + 1] = '\0';
	assert_int_equal(parse(line), -EREMOTEIO);
	/* As many words as there can be, all options: no room is overrun. */
	strcpy(line, "console");
	for (unsigned i = 1; i < DOOR_WORDS_MAX; i++) {
		strcat(line, i == 1 ? " v" : " -r");
	}
	assert_int_equal(parse(line), 0);
	assert_int_equal(command.argc, DOOR_WORDS_MAX);
	strcat(line, " -r");
	assert_int_equal(parse(line), -EREMOTEIO);
	strcpy(line, "debug v");
	for (unsigned i = 2; i < DOOR_WORDS_MAX; i++) {
		strcat(line, " --stack=a");
	}
	assert_int_equal(parse(line), 0);
	assert_int_equal(command.argc, 3 + 2 * (DOOR_WORDS_MAX - 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_what_is_in_the_table),
		cmocka_unit_test(refuses_everything_else),
		cmocka_unit_test(bounds_what_it_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
