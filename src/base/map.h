/* SPDX-License-Identifier: Apache-2.0 */
/* Hash map from strings (copied) to pointers (borrowed), seeded against chosen keys. */
#pragma once

#include "macro.h"

struct map;

struct map *map_new(void);
struct map *map_free(struct map *m);
/* NULL when absent. */
void *map_get(const struct map *m, const char *key);
/* Replaces; *ret_old (may be NULL) gets the former value. -ENOMEM. `value` must not be NULL. */
int map_put(struct map *m, const char *key, void *value, void **ret_old) _must_check_;
/* Returns the removed value or NULL. */
void *map_remove(struct map *m, const char *key);
size_t map_size(const struct map *m);
/* Iteration: start with *it = 0; returns the next value or NULL at the end. The map may only be
 * changed by removing the entry just returned. */
void *map_next(const struct map *m, size_t *it, const char **ret_key);
