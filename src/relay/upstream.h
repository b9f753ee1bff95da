/* SPDX-License-Identifier: Apache-2.0 */
/* Links from a session's relay to the console relays of its targets. */
#pragma once

#include "link_conn.h"
#include "relay.h"
#include "rpc_peer.h"

/*
 * A link to the console of VM `name`; replaces the one there was. The first line has been
 * exchanged. On success the request is answered when the link is up, or will never be.
 */
int upstream_link_take(struct relay *relay, const char *name, int fd,
		       struct rpc_request *request) _must_check_;
/* NULL while there is none, or it is not up. */
struct link_conn *upstream_conn(struct relay *relay, const char *name);
/* The `i`th name, NULL behind the last. */
const char *upstream_name(const struct relay *relay, size_t i);
void upstreams_free(struct relay *relay);
