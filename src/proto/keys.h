/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys by name, as codes of Linux' key table (linux/input-event-codes.h): "ctrl-alt-del",
 * "alt-sysrq-b", and the text that a US keyboard types.
 */
#pragma once

#include <stddef.h>

#include "macro.h"

#define CHORD_CODES_MAX 8

struct chord {
	unsigned codes[CHORD_CODES_MAX]; /* in the order they are pressed */
	size_t n;
};

/* 1 to CHORD_CODES_MAX names with '-' or '+' between them, none twice; upper and lower case are the
 * same. A name is Linux' own without KEY_ ("leftctrl", "sysrq", "pageup") or a usual short one
 * ("ctrl", "del", "pgup"). -EINVAL. */
int chord_parse(const char *text, struct chord *ret) _must_check_;
/* The keys for one character of printable ASCII. -EINVAL. */
int chord_of_char(char c, struct chord *ret) _must_check_;
