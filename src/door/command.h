/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of a login through the SSH door (interfaces/PROTOCOL.door §3), and the one table
 * of what may be asked for. Sans-I/O: text in, the words of a command of dvm(1) out. What is not in
 * the table is refused; nothing is quoted, expanded or passed on as it came.
 */
#pragma once

#include <stdbool.h>

#include "fault.h"

#define DOOR_LINE_MAX 1024
#define DOOR_WORDS_MAX 24
#define DOOR_WORD_MAX 127
#define DOOR_ARGV_MAX (2 * DOOR_WORDS_MAX + 4) /* `--stack=a` becomes two */

enum door_verb {
	DOOR_LIST,
	DOOR_CONSOLE,
	DOOR_DEBUG,
	DOOR_END,
	DOOR_POWER,
	DOOR_PROXY,
	DOOR_KNOWN_HOSTS,
	DOOR_HELP,
	_DOOR_VERB_MAX,
};

struct door_command {
	enum door_verb verb;
	bool terminal; /* it may have one */
	/* What follows `dvm`, NULL-ended; points into `text` and into the table. Empty for
	 * DOOR_LIST and DOOR_HELP. */
	const char *argv[DOOR_ARGV_MAX];
	size_t argc;
	char text[DOOR_LINE_MAX + 1];
};

/* `line`: NULL or "" is `list`. bad-request, with a hint; *ret may not be moved afterwards. */
int door_command_parse(const char *line, struct door_command *ret,
		       struct fault *fault) _must_check_;
/* What can be asked for, for people. */
extern const char door_help[];
