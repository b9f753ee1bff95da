/* SPDX-License-Identifier: Apache-2.0 */
/* A writer's bytes, kept until the hub has them. See typed.h. */
#include "typed.h"

#include <errno.h>

void typed_init(struct typed *t, uint64_t id, size_t max_bytes)
{
	*t = (struct typed){ .id = id };
	buf_init(&t->queue, max_bytes);
}

void typed_fini(struct typed *t)
{
	buf_fini(&t->queue);
}

int typed_add(struct typed *t, const void *p, size_t len)
{
	return buf_append(&t->queue, p, len);
}

size_t typed_room(const struct typed *t)
{
	return buf_room(&t->queue);
}

bool typed_is_empty(const struct typed *t)
{
	return buf_len(&t->queue) == 0;
}

void typed_connect(struct typed *t)
{
	t->answered = false;
}

/* The hub begins to count anew, and does not have what is in the queue. */
static size_t forgotten(struct typed *t)
{
	size_t lost = t->sent;

	buf_consume(&t->queue, lost);
	t->sent = 0;
	t->had = 0;
	return lost;
}

int typed_had(struct typed *t, uint64_t at, size_t *ret_lost)
{
	*ret_lost = 0;
	if (at == TYPED_UNKNOWN) {
		if (t->answered) {
			return -EPROTO;
		}
		*ret_lost = forgotten(t);
	} else {
		if (at < t->had || at - t->had > t->sent || (!t->named && at > 0)) {
			return -EPROTO;
		}
		buf_consume(&t->queue, (size_t)(at - t->had));
		t->sent -= (size_t)(at - t->had);
		t->had = at;
		if (!t->answered) {
			t->sent = 0; /* of the former connection: it goes again */
		}
	}
	t->answered = t->named = true;
	return 0;
}

size_t typed_next(struct typed *t, const uint8_t **ret)
{
	size_t len = t->answered ? buf_len(&t->queue) - t->sent : 0;

	*ret = len > 0 ? buf_data(&t->queue) + t->sent : NULL;
	return len;
}

void typed_went(struct typed *t, size_t len)
{
	t->sent += len;
	assert(t->sent <= buf_len(&t->queue));
}

size_t typed_drop(struct typed *t)
{
	size_t unsure = t->sent;

	buf_clear(&t->queue);
	t->sent = 0;
	return unsure;
}
