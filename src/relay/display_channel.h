/* SPDX-License-Identifier: Apache-2.0 */
/* A viewer of the VM's display, on a channel. */
#pragma once

#include "link_conn.h"
#include "relay.h"

#define DISPLAYS_MAX 16 /* viewers of one VM: the emulator keeps a picture for each */
#define DISPLAYS_CONN_MAX                                                                          \
	8 /* of them on one connection, for a session is not to keep out others                    \
	   */

/* Answers the peer's open, now or when dvm-hostd has opened the display. `mode` has been through
 * policy_mode(). */
void display_channel_open(struct relay *relay, struct link_conn *conn, uint16_t id, uint8_t mode);
