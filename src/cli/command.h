/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table of dvm's commands. Each command stands in its own file as a const struct; help, man
 * page and completion read it.
 */
#pragma once

#include "args.h"
#include "cli.h"

struct command {
	const char *name;  /* "vm list" */
	const char *words; /* as the help shows them: "VM [FILE]"; how many are allowed follows from
			      it */
	const char *summary; /* one line, no full stop */
	const char *text;    /* further paragraphs, separated by "\n\n"; may be NULL */
	const struct option_def *options;
	size_t pass_after; /* 0: options may stand anywhere; N: after N words all the rest is passed
			      on */
	/* 0; -EREMOTEIO with *fault; -errno; > 0: the exit status. */
	int (*run)(struct cli *cli, const struct args *args, struct fault *fault);
};

struct command_group {
	const char *title;
	const struct command *const *commands; /* NULL-ended */
};

extern const struct command_group command_groups[]; /* ended by a NULL title */

/* The command that argv starts with; *ret_used words are its name. NULL: none. */
const struct command *command_find(int argc, char **argv, int *ret_used);
/* Whether `word` begins the names of several commands ("vm"). */
bool command_is_group(const char *word);
/* Parses the arguments behind the name and runs it. Returns the exit status. */
int command_main(struct cli *cli, const struct command *c, int argc, char **argv);
