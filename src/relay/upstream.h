/* SPDX-License-Identifier: Apache-2.0 */
/* Links from a session's relay to the console relays of its targets. */
#pragma once

#include "fault.h"
#include "link_conn.h"
#include "relay.h"
#include "rpc_peer.h"

/*
 * A link to the console of VM `name`, `writable` or only to be watched; replaces the one there was.
 * The first line has been exchanged. On success the request is answered when the link is up, or
 * will never be.
 */
int upstream_link_take(struct relay *relay, const char *name, bool writable, int fd,
		       struct rpc_request *request) _must_check_;
/* NULL while there is none, or it is not up. */
struct link_conn *upstream_conn(struct relay *relay, const char *name);
/* What of `mode` may be had through the link (PROTOCOL.relay: upstream.link). */
enum fault_code upstream_mode(struct relay *relay, const char *name, uint8_t mode,
			      uint8_t *ret_mode) _must_check_;
/* The `i`th one; false behind the last. */
bool upstream_status(const struct relay *relay, size_t i, const char **ret_name,
		     bool *ret_writable);
void upstreams_free(struct relay *relay);
