/* SPDX-License-Identifier: Apache-2.0 */
/* Escape keys of an interactive console, as ssh(1) has them: "~." and friends, at the start of a
 * line only. Pure. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "macro.h"

enum escape_action {
	ESCAPE_NONE,
	ESCAPE_QUIT,  /* ~. */
	ESCAPE_BREAK, /* ~B */
	ESCAPE_SYSRQ, /* ~s KEY; the key stands in `argument` */
	ESCAPE_TAKE,  /* ~W */
	ESCAPE_SIZE,  /* ~w */
	ESCAPE_PASTE, /* ~P */
	ESCAPE_HELP,  /* ~? */
};

struct escape {
	uint8_t key;	  /* '~', or what the user wants; 0: there are no escape keys */
	bool line_start;  /* initially true: see ESCAPE_INIT */
	bool held;	  /* the key was held back */
	bool no_files;	  /* the files here are not the user's: there is no ~P */
	bool sysrq;	  /* after ~s: the next key is its argument */
	uint8_t argument; /* of ESCAPE_SYSRQ */
};

#define ESCAPE_INIT                                                                                \
	{                                                                                          \
		.key = '~', .line_start = true                                                     \
	}

/* What the user typed in, what goes to the console out: at most two bytes for each. */
enum escape_action escape_input(struct escape *e, uint8_t key, uint8_t out[2], size_t *ret_len);

/* "~", "^X" (a control key) or "none" (0). -EINVAL. */
int escape_parse(const char *s, uint8_t *ret_key) _must_check_;

/* For ESCAPE_HELP; lines end in \r\n. */
void escape_help(const struct escape *e, FILE *f);
