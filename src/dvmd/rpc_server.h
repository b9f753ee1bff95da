/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A unix socket where other programs call dvmd by RPC, one connection each.
 *
 * A peer that has gone is freed by the next turn of the loop, since none may be freed inside its
 * own callbacks.
 */
#pragma once

#include <jansson.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "rpc_peer.h"

struct rpc_server;
struct rpc_server_peer;

struct rpc_server_ops {
	const char *who; /* for the log: "a redeemer of tickets" */
	/* Whether this user may come in; NULL: whoever can connect. */
	bool (*admit)(uid_t uid, void *user);
	/* Any call but hello, which is answered here. */
	void (*call)(struct rpc_server_peer *peer, struct rpc_request *request, const char *method,
		     json_t *params, void *user);
	/* The peer is gone; not at rpc_server_free(). NULL: of no interest. */
	void (*closed)(struct rpc_server_peer *peer, void *user);
};

/* Takes `listen_fd`. */
int rpc_server_new_take(sd_event *event, int listen_fd, size_t peers_max,
			const struct rpc_server_ops *ops, void *user,
			struct rpc_server **ret) _must_check_;
struct rpc_server *rpc_server_free(struct rpc_server *s);

uid_t rpc_server_peer_uid(const struct rpc_server_peer *peer);
/* The owner's own: NULL at first, freed with the peer by free(). */
void **rpc_server_peer_data(struct rpc_server_peer *peer);
/* How many there are for which `fn` says so. */
size_t rpc_server_count(const struct rpc_server *s,
			bool (*fn)(struct rpc_server_peer *peer, const void *what),
			const void *what);
/* Hangs up on those for which `fn` says so; `closed` is called. */
void rpc_server_drop(struct rpc_server *s,
		     bool (*fn)(struct rpc_server_peer *peer, const void *what), const void *what);
