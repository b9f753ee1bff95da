/* SPDX-License-Identifier: Apache-2.0 */
/* Server-sent events (HTML standard, §9.2.6): bytes in, events out. */
#pragma once

#include "buf.h"

#define SSE_EVENT_MAX (256 * 1024)

/* `type` is "message" when the event has none, `id` the last one seen ("" before any). Return != 0
 * to stop. */
typedef int (*sse_event_fn)(const char *type, const char *id, const char *data, void *user);

struct sse {
	struct buf line;
	struct buf data;
	char type[64];
	char id[64];
	bool have_data;
	sse_event_fn fn;
	void *user;
};

void sse_init(struct sse *s, sse_event_fn fn, void *user);
void sse_fini(struct sse *s);
/* 0; what `fn` returned when it was not 0 (the rest is dropped); -EMSGSIZE for an event beyond the
 * maximum, -ENOMEM. */
int sse_input(struct sse *s, const char *p, size_t len) _must_check_;
