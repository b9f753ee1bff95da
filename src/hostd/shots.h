/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pictures of screens, for those who read them in parts: kept from the first part on until the last
 * was read, at most SHOT_TTL. At most SHOTS_MAX of them: whoever comes then takes the place of the
 * oldest. For any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "macro.h"

#define SHOTS_MAX 4
#define SHOT_TTL (60 * USEC_PER_SEC)
#define SHOT_ID_MAX 23

struct shots;

int shots_new(struct shots **ret) _must_check_;
struct shots *shots_free(struct shots *s);
/* Takes `bytes`. `id`: at most SHOT_ID_MAX letters. */
void shots_keep_take(struct shots *s, const char *id, uint8_t *bytes, size_t len);
/* base64 of at most `max` bytes from `offset` on, the caller's; NULL: there is no such picture or
 * part, or no memory. */
char *shots_read(struct shots *s, const char *id, uint64_t offset, size_t max, bool *ret_eof);
/* Lets go of those whose time is over. */
void shots_sweep(struct shots *s);
