/* SPDX-License-Identifier: Apache-2.0 */
/* The target's kernel as `target info` shows it. */
#pragma once

#include <jansson.h>

#include "memory.h"

/* Prints lines in the form of the rest of `target info`. */
void show_system(struct kernel *k);
/* The same as an object. NULL: no memory. */
json_t *show_system_json(struct kernel *k);
