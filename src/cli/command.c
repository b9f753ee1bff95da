/* SPDX-License-Identifier: Apache-2.0 */
/* Finding a command by its name and running it. */
#include "command.h"

#include <errno.h>
#include <string.h>

#include "help.h"

/* How many words of argv the name takes; 0: argv does not begin with it. */
static int match(const char *name, int argc, char **argv)
{
	int n = 0;

	while (*name) {
		size_t len = strcspn(name, " ");

		if (n == argc || strlen(argv[n]) != len || memcmp(argv[n], name, len) != 0) {
			return 0;
		}
		n++;
		name += len;
		name += *name == ' ';
	}
	return n;
}

const struct command *command_find(int argc, char **argv, int *ret_used)
{
	for (const struct command_group *g = command_groups; g->title; g++) {
		for (const struct command *const *c = g->commands; *c; c++) {
			int used = match((*c)->name, argc, argv);

			if (used > 0) {
				*ret_used = used;
				return *c;
			}
		}
	}
	return NULL;
}

bool command_is_group(const char *word)
{
	size_t len = strlen(word);

	for (const struct command_group *g = command_groups; g->title; g++) {
		for (const struct command *const *c = g->commands; *c; c++) {
			if (strncmp((*c)->name, word, len) == 0 && (*c)->name[len] == ' ') {
				return true;
			}
		}
	}
	return false;
}

/* Most commands have --json; those that have not say only on stderr what went wrong. */
static bool wants_json(const struct args *args)
{
	for (size_t i = 0; i < args->n_given; i++) {
		if (strcmp(args->given[i].def->name, "json") == 0) {
			return true;
		}
	}
	return false;
}

int command_main(struct cli *cli, const struct command *c, int argc, char **argv)
{
	struct fault fault = { 0 };
	struct args args;
	bool as_json = false;
	size_t min, max;
	int r;

	r = args_parse(c->options, c->pass_after ? c->pass_after : SIZE_MAX, argc, argv, &args,
		       &fault);
	if (r == 0 && args.help) {
		help_command(stdout, c);
		args_fini(&args);
		return 0;
	}
	args_range(c->words, &min, &max);
	if (r == 0 && (args.n_words < min || args.n_words > max)) {
		r = fault_set(&fault, FAULT_BAD_REQUEST, "usage: dvm %s%s%s%s", c->name,
			      c->options->name ? " [OPTION...]" : "", c->words[0] ? " " : "",
			      c->words);
		args_fini(&args);
	}
	if (r == -EREMOTEIO) {
		fault_hint(&fault, "dvm %s --help", c->name);
		return cli_print_fault(&fault);
	}
	if (r == 0) {
		as_json = wants_json(&args);
		r = c->run(cli, &args, &fault);
		args_fini(&args);
	}
	if (r < 0 && r != -EREMOTEIO) {
		fault_set(&fault, FAULT_INTERNAL, "%s", strerror(-r));
	}
	if (r >= 0) {
		return r;
	}
	return as_json ? cli_print_problem(&fault) : cli_print_fault(&fault);
}
