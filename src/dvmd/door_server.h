/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where dvm-door asks whose SSH key it is, and gets a token for a login: interfaces/PROTOCOL.door.
 *
 * Two users of the machine may come: the one that looks keys up learns a ticket for the key's
 * login, the one that logins run as turns it into a token. So a login that was taken over cannot
 * make itself another user's, though public keys are no secret.
 */
#pragma once

#include "dvmd.h"

#define DOOR_PEERS_MAX 512
#define DOOR_LOGINS_PER_USER 64

struct door_server;

/* Takes `listen_fd`. */
int door_server_new_take(struct dvmd *d, int listen_fd, struct door_server **ret) _must_check_;
struct door_server *door_server_free(struct door_server *s);
/* The key is no longer on record: its logins end. `s` NULL: there is no door. */
void door_server_key_removed(struct door_server *s, const char *key);
