/* SPDX-License-Identifier: Apache-2.0 */
/* Where dvm-gate redeems tickets: interfaces/PROTOCOL.host §4. */
#pragma once

#include "dvmd.h"
#include "rpc_server.h"

#define TICKET_PEERS_MAX 256

/* Takes `listen_fd`. */
int ticket_server_new_take(struct dvmd *d, int listen_fd, struct rpc_server **ret) _must_check_;
