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
 * A way has a pipe only while it holds bytes: a few empty ones are kept for all pairs, so a pair
 * that is quiet costs its two sockets and nothing else.
 */
#pragma once

#include "poll_set.h"

#define PIPE_PAIR_HELD_MAX (256 * 1024)
#define PIPES_KEPT_MAX 8

/* One for all pairs of a loop; outlives them, and `poll` outlives it. */
struct pipe_set;

int pipe_set_new(struct poll_set *poll, struct pipe_set **ret) _must_check_;
struct pipe_set *pipe_set_free(struct pipe_set *set);
/* Empty pipes that are kept. */
unsigned pipe_set_kept(const struct pipe_set *set);

struct pipe_pair;

/* Takes both sockets. `ended` is called from the loop, once; the owner may free the pair there. */
int pipe_pair_new_take(struct pipe_set *set, int fd, int other_fd, void (*ended)(void *user),
		       void *user, struct pipe_pair **ret) _must_check_;
struct pipe_pair *pipe_pair_free(struct pipe_pair *p);
