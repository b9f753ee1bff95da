/* SPDX-License-Identifier: Apache-2.0 */
/* Links from a session's relay to the services of its targets' console relays. */
#pragma once

#include "fault.h"
#include "link_conn.h"
#include "relay.h"
#include "rpc_peer.h"

/* One link each, so that a display's pictures do not keep a console waiting. */
enum upstream_service { UPSTREAM_CONSOLE, UPSTREAM_VNC, UPSTREAM_GDB, _UPSTREAM_SERVICE_MAX };

const char *upstream_service_name(enum upstream_service service);
int upstream_service_parse(const char *name, enum upstream_service *ret) _must_check_;

/*
 * A link to a service of VM `name`, `writable` or only to be watched; replaces the one there was.
 * The first line has been exchanged. On success the request is answered when the link is up, or
 * will never be.
 */
int upstream_link_take(struct relay *relay, enum upstream_service service, const char *name,
		       bool writable, int fd, struct rpc_request *request) _must_check_;
/* NULL while there is none, or it is not up. */
struct link_conn *upstream_conn(struct relay *relay, enum upstream_service service,
				const char *name);
/* What of `mode` may be had through the link (PROTOCOL.relay: upstream.link). */
enum fault_code upstream_mode(struct relay *relay, enum upstream_service service, const char *name,
			      uint8_t mode, uint8_t *ret_mode) _must_check_;
/* The `i`th one; false behind the last. */
bool upstream_status(const struct relay *relay, size_t i, enum upstream_service *ret_service,
		     const char **ret_name, bool *ret_writable);
void upstreams_free(struct relay *relay);
