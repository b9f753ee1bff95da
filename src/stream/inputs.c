/* SPDX-License-Identifier: Apache-2.0 */
/* Which inputs a hub has had. See inputs.h. */
#include "inputs.h"

static struct input *find(struct inputs *in, uint64_t id)
{
	for (size_t i = 0; i < INPUTS_MAX; i++) {
		if (in->entries[i].used > 0 && in->entries[i].id == id) {
			return &in->entries[i];
		}
	}
	return NULL;
}

/* A free one, else the one that was not named for longest, those in use last. */
static struct input *oldest(struct inputs *in)
{
	struct input *best = &in->entries[0];

	for (size_t i = 1; i < INPUTS_MAX; i++) {
		struct input *e = &in->entries[i];

		if (!e->holder == !best->holder ? e->used < best->used : !e->holder) {
			best = e;
		}
	}
	return best;
}

struct input *inputs_claim(struct inputs *in, uint64_t id, void *holder, uint64_t *ret_had,
			   void **ret_old)
{
	struct input *e = find(in, id);

	inputs_release(in, holder);
	if (e) {
		*ret_had = e->had;
		*ret_old = e->holder;
	} else {
		e = oldest(in);
		*ret_had = INPUT_UNKNOWN;
		*ret_old = NULL;
		e->id = id;
		e->had = 0;
	}
	e->holder = holder;
	e->used = ++in->clock;
	return e;
}

struct input *inputs_of(struct inputs *in, const void *holder)
{
	for (size_t i = 0; i < INPUTS_MAX; i++) {
		if (in->entries[i].used > 0 && in->entries[i].holder == holder) {
			return &in->entries[i];
		}
	}
	return NULL;
}

void inputs_release(struct inputs *in, const void *holder)
{
	struct input *e = inputs_of(in, holder);

	if (e) {
		e->holder = NULL;
	}
}
