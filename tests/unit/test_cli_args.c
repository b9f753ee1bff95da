/* SPDX-License-Identifier: Apache-2.0 */
/* The command line's arguments, and the table of commands itself. */
#include <errno.h>
#include <string.h>

#include "args.h"
#include "command.h"
#include "test.h"

static const struct option_def table[] = {
	{ "all", 'a', NULL, "everything" },
	{ "key", 'k', "FILE", "a key" },
	{ "count", 0, "N", "how many" },
	OPTION_JSON,
	OPTION_END,
};

#define WORDS_MAX 16

struct parsed {
	struct args args;
	struct fault fault;
	char *argv[WORDS_MAX];
	int r;
};

/* Splits `line` at blanks into p->argv. The words live in `line`. */
static void parse(struct parsed *p, size_t pass_after, char *line)
{
	int argc = 0;
	char *save = NULL;

	memset(p, 0, sizeof(*p));
	for (char *w = strtok_r(line, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		p->argv[argc++] = w;
	}
	p->r = args_parse(table, pass_after, argc, p->argv, &p->args, &p->fault);
}

static void options_and_words_mix(void **state)
{
	char line[] = "one --key file two -a --count=7 three --json";
	struct parsed p;

	parse(&p, SIZE_MAX, line);
	assert_int_equal(p.r, 0);
	assert_int_equal(p.args.n_words, 3);
	assert_string_equal(args_word(&p.args, 1), "two");
	assert_null(args_word(&p.args, 3));
	assert_string_equal(args_value(&p.args, "key"), "file");
	assert_string_equal(args_value(&p.args, "count"), "7");
	assert_true(args_has(&p.args, "all"));
	assert_true(args_has(&p.args, "json"));
	assert_false(p.args.help);
	args_fini(&p.args);
}

static void letters_join(void **state)
{
	char line[] = "-akfile -h -";
	struct parsed p;

	parse(&p, SIZE_MAX, line);
	assert_int_equal(p.r, 0);
	assert_string_equal(args_value(&p.args, "key"), "file");
	assert_true(args_has(&p.args, "all"));
	assert_true(p.args.help);
	assert_int_equal(p.args.n_words, 1);
	assert_string_equal(args_word(&p.args, 0), "-");
	args_fini(&p.args);
}

static void last_value_wins(void **state)
{
	char line[] = "-k a --key b";
	struct parsed p;

	parse(&p, SIZE_MAX, line);
	assert_string_equal(args_value(&p.args, "key"), "b");
	assert_null(args_value(&p.args, "count"));
	args_fini(&p.args);
}

static void two_dashes_end_options(void **state)
{
	char line[] = "s-1 -- ls -a -- --json";
	struct parsed p;

	parse(&p, SIZE_MAX, line);
	assert_int_equal(p.args.n_words, 5);
	assert_string_equal(args_word(&p.args, 3), "--");
	assert_false(args_has(&p.args, "all"));
	args_fini(&p.args);
}

static void what_comes_after_is_passed_on(void **state)
{
	char line[] = "s-1 --key file ls -a --json";
	struct parsed p;

	parse(&p, 1, line);
	assert_int_equal(p.args.n_words, 4);
	assert_string_equal(args_value(&p.args, "key"), "file");
	assert_string_equal(args_word(&p.args, 2), "-a");
	assert_false(args_has(&p.args, "json"));
	args_fini(&p.args);
}

static void mistakes_are_named(void **state)
{
	static const struct {
		const char *line, *message;
	} cases[] = {
		{ "--nothing", "unknown option --nothing" },
		{ "-x", "unknown option -x" },
		{ "--all=yes", "--all takes no value" },
		{ "--key", "--key needs a value: FILE" },
		{ "-k", "-k needs a value: FILE" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char line[64];
		struct parsed p;

		strcpy(line, cases[i].line);
		parse(&p, SIZE_MAX, line);
		assert_int_equal(p.r, -EREMOTEIO);
		assert_int_equal(p.fault.code, FAULT_BAD_REQUEST);
		assert_string_equal(p.fault.message, cases[i].message);
	}
}

static void options_have_a_limit(void **state)
{
	char *argv[ARGS_OPTIONS_MAX + 1];
	struct fault fault = { 0 };
	struct args args;

	for (size_t i = 0; i <= ARGS_OPTIONS_MAX; i++) {
		argv[i] = "-a";
	}
	assert_int_equal(args_parse(table, SIZE_MAX, ARGS_OPTIONS_MAX, argv, &args, &fault), 0);
	args_fini(&args);
	assert_int_equal(args_parse(table, SIZE_MAX, ARGS_OPTIONS_MAX + 1, argv, &args, &fault),
			 -EREMOTEIO);
}

static void usage_says_how_many_words(void **state)
{
	static const struct {
		const char *usage;
		size_t min, max;
	} cases[] = {
		{ "", 0, 0 },
		{ "VM", 1, 1 },
		{ "SESSION [VM]", 1, 2 },
		{ "VM...", 1, SIZE_MAX },
		{ "SESSION [COMMAND...]", 1, SIZE_MAX },
		{ "PROJECT USER [RIGHT...]", 2, SIZE_MAX },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t min, max;

		args_range(cases[i].usage, &min, &max);
		assert_int_equal(min, cases[i].min);
		assert_int_equal(max, cases[i].max);
	}
}

/* ---- the table */

static void check_options(const struct command *c)
{
	for (const struct option_def *o = c->options; o->name; o++) {
		assert_true(strlen(o->name) >= 2);
		assert_non_null(o->help);
		assert_string_not_equal(o->name, "help");
		assert_int_not_equal(o->letter, 'h');
		for (const struct option_def *other = c->options; other < o; other++) {
			assert_string_not_equal(o->name, other->name);
			assert_true(!o->letter || o->letter != other->letter);
		}
	}
}

static void the_table_is_complete(void **state)
{
	for (const struct command_group *g = command_groups; g->title; g++) {
		for (const struct command *const *c = g->commands; *c; c++) {
			char name[64], *argv[4], *save = NULL;
			int argc = 0, used;

			assert_non_null((*c)->name);
			assert_non_null((*c)->words);
			assert_non_null((*c)->options);
			assert_non_null((*c)->run);
			assert_true(strlen((*c)->summary) > 10 && strlen((*c)->summary) < 80);
			assert_int_not_equal((*c)->summary[strlen((*c)->summary) - 1], '.');
			check_options(*c);
			/* Each is found by its own name: none hides behind another. */
			snprintf(name, sizeof(name), "%s", (*c)->name);
			for (char *w = strtok_r(name, " ", &save); w;
			     w = strtok_r(NULL, " ", &save)) {
				argv[argc++] = w;
			}
			assert_ptr_equal(command_find(argc, argv, &used), *c);
			assert_int_equal(used, argc);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_and_words_mix),
		cmocka_unit_test(letters_join),
		cmocka_unit_test(last_value_wins),
		cmocka_unit_test(two_dashes_end_options),
		cmocka_unit_test(what_comes_after_is_passed_on),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(options_have_a_limit),
		cmocka_unit_test(usage_says_how_many_words),
		cmocka_unit_test(the_table_is_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
