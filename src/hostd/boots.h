/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that wait for a D-VM's agent. Everything here belongs to the loop's thread. */
#pragma once

#include "hostd.h"
#include "rpc_peer.h"

int boots_new(struct hostd *h, struct boots **ret) _must_check_;
struct boots *boots_free(struct boots *b); /* who waits gets FAULT_CANCELLED */
/* Takes `request`, and one of hostd's `starting`; answers {"image", "host_key", "start"} when the
 * session's agent is ready (perhaps at once), or FAULT_DVM_TIMEOUT, FAULT_DVM_LOST. */
void boots_wait_take(struct hostd *h, const char *session, const char *image, const char *start,
		     usec_t timeout, struct rpc_request *request);
/* Something is new about the session's agent. */
void boots_check(struct hostd *h, const char *session);
void boots_fail(struct hostd *h, const char *session, const struct fault *fault);
