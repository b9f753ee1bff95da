/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joins two stream sockets: what comes from one goes to the other, inside the kernel.
 *
 * Theory of operation: a pair has two ways, one for each direction, and neither waits for the
 * other. Bytes are spliced from the socket they come from into a kernel pipe and from there to the
 * socket they go to; this process never sees them. A way reads only when its pipe is empty, so it
 * holds no more than PIPE_PAIR_HELD_MAX bytes, and a peer that does not read stops the one that
 * writes to it as a plain connection would. The end of one way is passed on (half-close); the pair
 * is over when both ways are. A socket that was closed altogether ends the way to it at once, while
 * what it said before is still delivered.
 *
 * A way has a pipe only while it holds bytes: in a pool a few empty ones are kept for all pairs, so
 * a pair that is quiet costs its two sockets and nothing else.
 */
#pragma once

#include <systemd/sd-event.h>

#include "macro.h"

#define PIPE_PAIR_HELD_MAX (256 * 1024)
#define PIPE_POOL_KEPT 8

struct pipe_ends {
	int in, out; /* -1: there is none */
};

/* One for all pairs of a loop; outlives them. */
struct pipe_pool {
	struct pipe_ends kept[PIPE_POOL_KEPT];
	unsigned n_kept;
};

void pipe_pool_init(struct pipe_pool *pool);
void pipe_pool_fini(struct pipe_pool *pool);

struct pipe_pair;

/* Takes both sockets. `ended` is called from the loop, once; the owner may free the pair there. */
int pipe_pair_new_take(sd_event *event, struct pipe_pool *pool, int fd, int other_fd,
		       void (*ended)(void *user), void *user, struct pipe_pair **ret) _must_check_;
struct pipe_pair *pipe_pair_free(struct pipe_pair *p);
