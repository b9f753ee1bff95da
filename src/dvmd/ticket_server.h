/* SPDX-License-Identifier: Apache-2.0 */
/* Where dvm-gate redeems tickets: interfaces/PROTOCOL.host §4. */
#pragma once

#include "dvmd.h"

#define TICKET_PEERS_MAX 256

struct ticket_server;

/* Takes `listen_fd`. */
int ticket_server_new_take(struct dvmd *d, int listen_fd, struct ticket_server **ret) _must_check_;
struct ticket_server *ticket_server_free(struct ticket_server *s);
