/* SPDX-License-Identifier: Apache-2.0 */
/* Lets each allocation of a scenario fail in turn. */
#pragma once

#include <stdbool.h>

/*
 * Runs the scenario again and again; in run N its N-th allocation fails. It must then end in an
 * error, and free what it had; the first run in which nothing failed must succeed. Returns how many
 * runs failed. `tolerant`: it may succeed although an allocation failed.
 */
unsigned fail_each(int (*scenario)(void), bool tolerant);
/* For a scenario that shows how it goes on: from here on no allocation fails. */
void fail_none(void);
