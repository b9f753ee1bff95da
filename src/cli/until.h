/* SPDX-License-Identifier: Apache-2.0 */
/* Finds a text in a stream that comes in pieces. Pure. */
#pragma once

#include <stdbool.h>

#include "macro.h"

#define UNTIL_MAX 256

struct until {
	char text[UNTIL_MAX];
	size_t len;
	char tail[UNTIL_MAX]; /* the last bytes seen, less than len of them */
	size_t tail_len;
};

/* -EINVAL for an empty text, -E2BIG for one that is too long. */
int until_init(struct until *u, const char *text) _must_check_;
/* True when the text ends within these bytes: *ret_end of them are up to its end. */
bool until_feed(struct until *u, const uint8_t *p, size_t len, size_t *ret_end);
