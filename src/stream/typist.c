/* SPDX-License-Identifier: Apache-2.0 */
/* When typed bytes and breaks go to the source. See typist.h. */
#include "typist.h"

#include <string.h>

void typist_init(struct typist *t)
{
	*t = (struct typist){ 0 };
}

void typist_pace(struct typist *t, uint32_t rate)
{
	t->rate = rate;
}

bool typist_break(struct typist *t, size_t queued, void *who)
{
	if (t->n_breaks == TYPIST_BREAKS_MAX) {
		return false;
	}
	t->breaks[t->n_breaks].at = t->gone + queued;
	t->breaks[t->n_breaks].who = who;
	t->n_breaks++;
	return true;
}

void typist_forget(struct typist *t, const void *who)
{
	for (size_t i = 0; i < t->n_breaks; i++) {
		if (t->breaks[i].who == who) {
			t->breaks[i].who = NULL;
		}
	}
}

enum typist_step typist_next(const struct typist *t, usec_t now, size_t queued, size_t *ret_len,
			     usec_t *ret_at)
{
	size_t len = queued, step;

	if (t->breaking) {
		return TYPIST_NOTHING;
	}
	if (t->n_breaks > 0) {
		len = MIN(len, (size_t)(t->breaks[0].at - t->gone));
		if (len == 0) {
			*ret_at = t->last + TYPIST_SETTLE;
			return t->last > 0 && now < *ret_at ? TYPIST_WAIT : TYPIST_BREAK;
		}
	}
	if (len == 0) {
		return TYPIST_NOTHING;
	}
	if (t->rate > 0) {
		if (now < t->free_at) {
			*ret_at = t->free_at;
			return TYPIST_WAIT;
		}
		/* At most a thousand steps a second, however fast the line is. */
		step = MAX(TYPIST_CHUNK, (size_t)t->rate / 1000);
		len = MIN(len, step);
	}
	*ret_len = len;
	return TYPIST_WRITE;
}

void typist_went(struct typist *t, usec_t now, size_t len)
{
	t->gone += len;
	t->last = now;
	if (t->rate > 0) {
		t->free_at = MAX(now, t->free_at) + (len * USEC_PER_SEC + t->rate - 1) / t->rate;
	}
}

void typist_dropped(struct typist *t, size_t len)
{
	t->gone += len;
}

void typist_break_begin(struct typist *t)
{
	assert(t->n_breaks > 0);
	t->breaking = true;
}

bool typist_break_end(struct typist *t, void **ret_who)
{
	if (t->n_breaks == 0) {
		return false;
	}
	*ret_who = t->breaks[0].who;
	t->breaking = false;
	t->n_breaks--;
	memmove(&t->breaks[0], &t->breaks[1], t->n_breaks * sizeof(t->breaks[0]));
	return true;
}
