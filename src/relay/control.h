/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to dvm-hostd: a listening socket on which one connection at a time speaks PROTOCOL.relay;
 * a new one replaces the old, so that a dvm-hostd started anew is not kept out by what is left of
 * its predecessor.
 */
#pragma once

#include <jansson.h>
#include <sys/types.h>

#include "relay.h"
#include "rpc_peer.h"

struct control;

/* `fd`: the listening socket. Only `uid` may connect. When nobody was connected for 10 minutes the
 * loop ends. */
int control_new_take(struct relay *relay, int fd, uid_t uid, struct control **ret) _must_check_;
struct control *control_free(struct control *c);
/* Takes `params`. Dropped while nobody is connected: dvm-hostd asks for the status when it
 * connects. */
void control_notify(struct control *c, const char *method, json_t *params);
/* Takes `params`. -ENOTCONN while nobody is connected; no callback then. */
int control_call(struct control *c, const char *method, json_t *params, usec_t timeout,
		 rpc_answer_fn answer, void *user) _must_check_;
