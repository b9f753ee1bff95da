/* SPDX-License-Identifier: Apache-2.0 */
/* Which service a name means (PROTOCOL.tunnel §4). */
#pragma once

#include "link_conn.h"
#include "relay.h"

/* Answers the peer's open. `mode` has been through policy_mode(). */
void service_open(struct relay *relay, struct link_conn *conn, uint16_t id, const char *service,
		  uint8_t mode, uint64_t from);
