/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command line arguments: a command's options are one table; help, man page and completion are made
 * from the same table. `-x`, `-x VALUE`, `--name`, `--name VALUE` and `--name=VALUE` are
 * understood; options and words may be mixed; `--` ends the options.
 */
#pragma once

#include <stdbool.h>

#include "fault.h"

struct option_def {
	const char *name;  /* without dashes; NULL ends a table */
	char letter;	   /* 0: none */
	const char *value; /* what the help calls its value; NULL: a switch */
	const char *help;
};

#define OPTION_JSON                                                                                \
	{                                                                                          \
		.name = "json", .help = "print JSON"                                               \
	}
#define OPTION_END                                                                                 \
	{                                                                                          \
		.name = NULL                                                                       \
	}

/* Tables of commands that have no other options. */
extern const struct option_def options_json[], options_none[];

#define ARGS_OPTIONS_MAX 32

struct args {
	char **words; /* borrowed from argv, n_words of them, NULL-ended */
	size_t n_words;
	struct {
		const struct option_def *def;
		const char *value;
	} given[ARGS_OPTIONS_MAX];
	size_t n_given;
	const struct option_def *table;
	bool help; /* -h or --help */
};

/* Takes argc words of argv (the command's name is not among them). `pass_after` words end the
 * options: what follows is passed on untouched, as in `dvm ssh SESSION ls -l` (SIZE_MAX: never). */
int args_parse(const struct option_def *table, size_t pass_after, int argc, char **argv,
	       struct args *ret, struct fault *fault) _must_check_;
void args_fini(struct args *a);

/* `name` must be in the table. */
bool args_has(const struct args *a, const char *name);
/* The last value given, or NULL. */
const char *args_value(const struct args *a, const char *name);
/* Word `i`, or NULL. */
const char *args_word(const struct args *a, size_t i);

/* How many words a usage text like "VM [FILE] [WORD...]" asks for; *ret_max is SIZE_MAX with "...".
 */
void args_range(const char *usage, size_t *ret_min, size_t *ret_max);
