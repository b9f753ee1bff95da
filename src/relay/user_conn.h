/* SPDX-License-Identifier: Apache-2.0 */
/* A user's connection after its ticket was redeemed: frames, and only the service that the ticket
 * names. */
#pragma once

#include "grants.h"
#include "link_conn.h"
#include "relay.h"

struct user_conn;

/* `ended` is called from the loop, once; the owner may free it there. */
int user_conn_new_take(struct relay *relay, int fd, const struct grant *grant,
		       void (*ended)(void *user), void *user, struct user_conn **ret) _must_check_;
struct user_conn *user_conn_free(struct user_conn *u);
