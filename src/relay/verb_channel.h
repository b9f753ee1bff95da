/* SPDX-License-Identifier: Apache-2.0 */
/* The D-VM's requests: one line in, one answer out (PROTOCOL.agent §3). */
#pragma once

#include "link_conn.h"
#include "relay.h"

#define VERBS_RUNNING_MAX 4

/* Answers the agent's open of `verb`. */
void verb_channel_open(struct relay *relay, struct link_conn *conn, uint16_t id);
