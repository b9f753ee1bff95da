/* SPDX-License-Identifier: Apache-2.0 */
/* The user's terminal in raw mode, and back. */
#pragma once

#include <stdbool.h>
#include <termios.h>

#include "macro.h"

struct terminal {
	bool raw;
	struct termios saved;
};

/* stdin passes every key on as it is. -errno. */
int terminal_raw(struct terminal *t) _must_check_;
void terminal_restore(struct terminal *t);
/* 0 × 0 where it cannot be told. */
void terminal_size(uint16_t *ret_rows, uint16_t *ret_columns);
