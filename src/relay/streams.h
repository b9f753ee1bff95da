/* SPDX-License-Identifier: Apache-2.0 */
/* The stream socket: who connects shows a ticket first (PROTOCOL.tunnel §5). */
#pragma once

#include "relay.h"

#define STREAMS_STRANGERS_MAX 64 /* have not shown a ticket yet */
#define STREAMS_USERS_MAX 10240	 /* fewer where half of the relay's fds are not enough for them */

struct streams;

/* `fd`: the listening socket. */
int streams_new_take(struct relay *relay, int fd, struct streams **ret) _must_check_;
/* Listens on `fd` instead; connections stay. */
int streams_listen_take(struct streams *s, int fd) _must_check_;
struct streams *streams_free(struct streams *s);
