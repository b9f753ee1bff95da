/* SPDX-License-Identifier: Apache-2.0 */
/* A reader of a hub, perhaps its writer, on a channel. */
#pragma once

#include "hub.h"
#include "link_conn.h"

/* Answers the peer's open. `mode` has been through policy_mode(). */
void hub_channel_open(struct hub *hub, struct link_conn *conn, uint16_t id, uint8_t mode,
		      uint64_t from);
