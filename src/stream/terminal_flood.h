/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a flood of plain lines leaves on a screen is its end.
 *
 * Theory of operation: within a run of nothing but printable ASCII and the controls that move
 * within a line or to the next, no state of a terminal changes but its cells and its cursor. Where
 * the whole screen scrolls, a line feed less than it has rows puts the cursor into the last one,
 * wherever it was, and as many more as it has rows replace them all. So what stands before those
 * need not be written into cells at all.
 */
#pragma once

#include "terminal_private.h"

/* How far [p, p+len) is such a run. */
size_t terminal_flood_length(const uint8_t *p, size_t len);
/* Of a run that comes next, with nothing begun before it: so many bytes are done with by having set
 * the cursor. */
size_t terminal_flood_skip(struct terminal *t, const uint8_t *p, size_t len);
