/* SPDX-License-Identifier: Apache-2.0 */
/* Streams without a policy: sockets that dvm-hostd has handed over, each for one user. */
#pragma once

#include "relay.h"

/* Waiting and in use, together; fewer where the relay may not have two fds for each. */
#define PIPES_MAX 10240

/* Takes `fd`, a stream socket: -EINVAL for anything else. A pipe of that name that there was ends.
 * -ENOSPC when there are as many as there may be. */
int pipe_open_take(struct relay *relay, const char *name, int fd) _must_check_;
/* Whether pipe_join_take() would find it. */
bool pipe_waits(const struct relay *relay, const char *name);
/* Answers the user at `fd`, and hands him the pipe's socket; dvm-hostd is told when he has closed
 * his connection. -ENOENT. */
int pipe_join_take(struct relay *relay, const char *name, int fd) _must_check_;
size_t pipes_count(const struct relay *relay);
void pipes_free(struct relay *relay);
