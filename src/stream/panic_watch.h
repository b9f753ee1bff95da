/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recognises the panic of a Linux guest in what its console says. Bytes in, lines out; what is
 * looked for may be cut anywhere between two pieces.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "macro.h"

#define PANIC_TEXT_MAX 160

struct panic_watch {
	size_t matched; /* bytes of the beginning of such a line */
	size_t len;	/* of `text`, while the line goes on */
	char text[PANIC_TEXT_MAX + 1];
};

/* True when such a line is complete, or long enough: w->text has it then, in plain ASCII. What is
 * behind it in `bytes` is not looked at: a guest does not panic twice in a moment. */
bool panic_watch_feed(struct panic_watch *w, const uint8_t *bytes, size_t len);
