/* SPDX-License-Identifier: Apache-2.0 */
/* Escape keys of an interactive console, as ssh(1) has them: "~." and friends, at the start of a
 * line only. Pure. */
#pragma once

#include <stdbool.h>

#include "macro.h"

enum escape_action {
	ESCAPE_NONE,
	ESCAPE_QUIT,  /* ~. */
	ESCAPE_BREAK, /* ~B */
	ESCAPE_TAKE,  /* ~W */
	ESCAPE_HELP,  /* ~? */
};

struct escape {
	bool line_start; /* initially true: see ESCAPE_INIT */
	bool tilde;	 /* one was held back */
};

#define ESCAPE_INIT                                                                                \
	{                                                                                          \
		.line_start = true                                                                 \
	}

/* What the user typed in, what goes to the console out: at most two bytes for each. */
enum escape_action escape_input(struct escape *e, uint8_t key, uint8_t out[2], size_t *ret_len);

/* For ESCAPE_HELP; lines end in \r\n. */
extern const char escape_help[];
