/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A writer's bytes, kept until the hub has them (PROTOCOL.tunnel, INPUT), so that a new connection
 * can go on where the last one broke: each byte is had once, or told to be perhaps lost, never sent
 * twice to a hub that may have had it. Pure.
 *
 * Theory of operation: one queue; its first `sent` bytes have gone out on the connection of now and
 * were not acknowledged yet. On each new connection the input is named (typed_connect()) and
 * nothing goes until the hub has answered; the answer says which bytes to drop, and the rest goes
 * again.
 */
#pragma once

#include "buf.h"

#define TYPED_UNKNOWN UINT64_MAX

struct typed {
	struct buf queue;
	size_t sent;
	uint64_t id;
	uint64_t had;  /* by the hub, before the queue's first byte */
	bool answered; /* on this connection */
	bool named;    /* ever */
};

/* `id`: chosen at random. At most `max_bytes` are kept, sent or not. */
void typed_init(struct typed *t, uint64_t id, size_t max_bytes);
void typed_fini(struct typed *t);
/* -ENOBUFS, -ENOMEM */
int typed_add(struct typed *t, const void *p, size_t len) _must_check_;
size_t typed_room(const struct typed *t);
/* Nothing is left to be sent or to be heard of. */
bool typed_is_empty(const struct typed *t);

/* A new connection: INPUT(id) is to be sent, then its answer to be waited for. */
void typed_connect(struct typed *t);
/*
 * The hub says that it has had `at` bytes of the input, or that it does not know it. *ret_lost:
 * bytes that were sent on a former connection and of which nobody can say whether they arrived;
 * they are dropped. -EPROTO for an answer that cannot be.
 */
int typed_had(struct typed *t, uint64_t at, size_t *ret_lost) _must_check_;
/* What may go now: *ret points to so many bytes, 0 while the answer is waited for. */
size_t typed_next(struct typed *t, const uint8_t **ret);
void typed_went(struct typed *t, size_t len);
/* The writer no longer may: drops everything. Returns how much of it had gone and was not had; on
 * this connection it will not be. */
size_t typed_drop(struct typed *t);
