/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which inputs a hub has had, and how much of each (PROTOCOL.tunnel, INPUT), so that a writer whose
 * connection broke can go on where it was. Pure. The last INPUTS_MAX are remembered.
 */
#pragma once

#include <stdbool.h>

#include "macro.h"

#define INPUTS_MAX 16
#define INPUT_UNKNOWN UINT64_MAX

struct input {
	uint64_t id, had; /* had: bytes */
	void *holder;	  /* whose bytes count: the channel that named it last; NULL: gone */
	uint64_t used;	  /* for forgetting; 0: free */
};

struct inputs {
	struct input entries[INPUTS_MAX];
	uint64_t clock;
};

/* `holder` names the input: *ret_had is what was had of it, INPUT_UNKNOWN if it is new. Whoever
 * held it before is told by *ret_old (NULL: nobody). */
struct input *inputs_claim(struct inputs *in, uint64_t id, void *holder, uint64_t *ret_had,
			   void **ret_old);
/* The input that `holder` holds; NULL when he named none, or another has taken it. */
struct input *inputs_of(struct inputs *in, const void *holder);
/* `holder` is gone; the input stays known. */
void inputs_release(struct inputs *in, const void *holder);
