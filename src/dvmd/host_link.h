/* SPDX-License-Identifier: Apache-2.0 */
/* The connection to dvm-hostd: made again for ever, with back-off. Calls, and its notices and calls
 * to us. */
#pragma once

#include "metrics.h"
#include "rpc_peer.h"

struct host_link;

struct host_link_ops {
	/* hello was answered: reconcile. Also after each reconnect. */
	void (*up)(void *user);
	void (*down)(void *user);
	void (*notice)(const char *method, json_t *params, void *user);
	/* Answer with rpc_request_reply() or rpc_request_fault(). */
	void (*call)(struct rpc_request *r, const char *method, json_t *params, void *user);
};

/* `path`: RUN/hostd.sock. Begins to connect. */
int host_link_new(sd_event *event, const char *path, struct metrics *metrics,
		  const struct host_link_ops *ops, void *user, struct host_link **ret) _must_check_;
struct host_link *host_link_free(struct host_link *h);
bool host_link_is_up(const struct host_link *h);
/* Takes `params`. `fn` is always called, from the loop; FAULT_HOST_AWAY while there is no
 * connection. */
typedef void (*host_answer_fn)(const json_t *result, const struct fault *fault, void *user);
void host_link_call(struct host_link *h, const char *method, json_t *params, usec_t timeout,
		    host_answer_fn fn, void *user);
