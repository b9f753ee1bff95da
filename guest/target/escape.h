/* SPDX-License-Identifier: Apache-2.0 */
/* The escape keys of `target console`: which typed bytes are for us and not for the guest. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum escape_action {
	ESCAPE_NONE,
	ESCAPE_QUIT,  /* Ctrl-], or Enter ~ . */
	ESCAPE_BREAK, /* Enter ~ B */
	ESCAPE_TAKE,  /* Enter ~ w */
	ESCAPE_HELP,  /* Enter ~ ? */
};

struct escape {
	bool line_start; /* the last byte was Enter, or none was typed yet */
	bool pending;	 /* a ~ has come at the start of a line */
};

#define ESCAPE_INIT                                                                                \
	{                                                                                          \
		.line_start = true                                                                 \
	}

/*
 * Looks at one typed byte. Writes what goes to the guest to `out` (up to 2 bytes), their number to
 * *ret_len, and returns what the user wants of us.
 */
enum escape_action escape_key(struct escape *e, unsigned char key, unsigned char out[2],
			      size_t *ret_len);
