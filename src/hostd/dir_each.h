/* SPDX-License-Identifier: Apache-2.0 */
/* The folders of RUN are lists: of relays, of sessions. */
#pragma once

#include <stdbool.h>

#include "macro.h"

/* Calls `fn` with each name in the folder that `valid` accepts; stops at the first result that is
 * not 0 and returns it. A folder that is not there is an empty one. */
int dir_each(const char *path, bool (*valid)(const char *), int (*fn)(const char *name, void *user),
	     void *user);
