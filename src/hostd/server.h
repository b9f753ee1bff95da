/* SPDX-License-Identifier: Apache-2.0 */
/* RUN/hostd.sock: dvmd's connections. Belongs to the loop's thread, where nothing else is said. */
#pragma once

#include <jansson.h>

#include "hostd.h"
#include "rpc_peer.h"

int server_new(struct hostd *h, struct server **ret) _must_check_;
struct server *server_free(struct server *s);
/* To all that said hello. Takes `params`. */
void server_notify(struct server *s, const char *method, json_t *params);
/* The same, from a worker. */
void server_notify_later(struct hostd *h, const char *method, json_t *params);
/* Asks dvmd what a session's user wants done; the answer goes to `request`, which is taken. Takes
 * `params`. */
void server_ask_take(struct server *s, const char *method, json_t *params,
		     struct rpc_request *request);
