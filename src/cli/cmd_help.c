/* SPDX-License-Identifier: Apache-2.0 */
/* dvm help, dvm version. */
#include <string.h>

#include "cleanup.h"
#include "commands.h"
#include "help.h"

static int run_help(struct cli *cli, const struct args *args, struct fault *fault)
{
	const struct command *c;
	int used;

	if (args_has(args, "man")) {
		help_man(stdout);
		return 0;
	}
	if (args->n_words == 0) {
		help_overview(stdout);
		return 0;
	}
	c = command_find((int)args->n_words, args->words, &used);
	if (c) {
		help_command(stdout, c);
		return 0;
	}
	if (command_is_group(args->words[0])) {
		help_group(stdout, args->words[0]);
		return 0;
	}
	fault_set(fault, FAULT_NOT_FOUND, "there is no command \"%.60s\"", args->words[0]);
	fault_hint(fault, "dvm --help lists them");
	return -EREMOTEIO;
}

static const struct option_def help_options[] = {
	{ "man", 0, NULL, "print the manual page dvm(1)" },
	OPTION_END,
};

const struct command cmd_help = {
	.name = "help",
	.words = "[COMMAND...]",
	.summary = "explain dvm, or one of its commands",
	.options = help_options,
	.run = run_help,
};

static int run_version(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_(json_decrefp) json_t *out = NULL;

	if (!args_has(args, "json")) {
		puts("dvm " DVM_VERSION);
		return 0;
	}
	out = json_pack("{s:s}", "version", DVM_VERSION);
	return out ? cli_print_json(out) : -ENOMEM;
}

static const struct option_def version_options[] = { OPTION_JSON, OPTION_END };

const struct command cmd_version = {
	.name = "version",
	.words = "",
	.summary = "show dvm's version",
	.options = version_options,
	.run = run_version,
};
