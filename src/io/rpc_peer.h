/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One RPC connection (PROTOCOL.host §1) on an sd-event loop: calls with callbacks, answers now or
 * later, fds.
 *
 * Theory of operation: all callbacks come from the loop, never from inside a function called here.
 * When the connection ends, every call still open gets FAULT_HOST_AWAY, then `closed` runs; the
 * owner frees the peer there or later. A peer freed inside another callback of it goes when that
 * has returned.
 */
#pragma once

#include <systemd/sd-event.h>

#include "rpc.h"

struct rpc_peer;
struct rpc_request; /* a call of the other side that waits for our answer */

/* Answer to a call of ours: `fault` is NULL on success, `result` is borrowed (NULL on fault). fds
 * are borrowed: dup or take (set to -1) what is to be kept, the rest is closed. */
typedef void (*rpc_answer_fn)(const json_t *result, const struct fault *fault, int *fds,
			      size_t n_fds, void *user);

struct rpc_peer_ops {
	/* A call: answer with rpc_request_reply() or rpc_request_fault(), now or later; each
	 * request exactly once. */
	void (*call)(struct rpc_peer *p, struct rpc_request *r, const char *method, json_t *params,
		     int *fds, size_t n_fds, void *user);
	void (*notice)(struct rpc_peer *p, const char *method, json_t *params, void *user);
	void (*closed)(struct rpc_peer *p, void *user);
};

/* Takes `fd` (a connected unix stream socket, made non-blocking here). */
int rpc_peer_new_take(sd_event *event, int fd, const struct rpc_peer_ops *ops, void *user,
		      struct rpc_peer **ret) _must_check_;
struct rpc_peer *
rpc_peer_free(struct rpc_peer *p); /* open calls get FAULT_CANCELLED; no `closed` */

/* Sends a call. Takes `params` (NULL: {}); fds are dup'ed. `answer` may be NULL. timeout 0: none;
 * after it the callback gets FAULT_TIMEOUT. Returns 0, or -errno when it could not even be queued
 * (no callback then). */
int rpc_peer_call(struct rpc_peer *p, const char *method, json_t *params, const int *fds,
		  size_t n_fds, usec_t timeout, rpc_answer_fn answer, void *user) _must_check_;
/* Takes `params`. */
int rpc_peer_notify(struct rpc_peer *p, const char *method, json_t *params);

/* Both free the request; valid also when the peer has gone meanwhile (the answer is dropped). Takes
 * `result`. */
void rpc_request_reply(struct rpc_request *r, json_t *result);
void rpc_request_reply_fds(struct rpc_request *r, json_t *result, const int *fds, size_t n_fds);
void rpc_request_fault(struct rpc_request *r, const struct fault *fault);

/* Blocking one-shot call for command line programs and tests: connects, hello is up to the caller.
 * What else comes meanwhile (notices, calls) is dropped. *ret_result is the caller's; -EREMOTEIO
 * with `fault` set. */
int rpc_call_sync(int fd, const char *method, json_t *params, const int *fds, size_t n_fds,
		  usec_t timeout, json_t **ret_result, struct fault *fault) _must_check_;
