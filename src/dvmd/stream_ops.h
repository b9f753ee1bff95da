/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tickets for streams: one stream, one use, TICKET_TTL. Only hashes are kept, in memory: a ticket
 * does not outlive dvmd. At most TICKETS_MAX wait.
 */
#pragma once

#include "vm_ops.h"

#define TICKET_TTL (30 * USEC_PER_SEC)
#define TICKETS_MAX 4096

struct tickets;
int tickets_new(struct tickets **ret) _must_check_;
struct tickets *tickets_free(struct tickets *t);

struct stream_spec {
	const char *session; /* a session's id, or NULL: */
	const char *vm;	     /* a VM's console or display without a session */
	const char *kind;    /* "ssh" (sessions), "console", "vnc", "gdb" (of vm; in a session of
				target    `vm`, NULL: the first) */
	const char *mode;    /* "r", "rw", "take" */
	bool raw;
};

/* {"ticket","url":"/v1/streams/TICKET","expires","service","mode","raw"}: granted at the relay too.
 */
void stream_open(struct dvmd *d, const struct principal *p, const struct stream_spec *spec,
		 ops_reply_fn fn, void *user);
/* For dvm-gate (ticket.redeem): {"path","raw"}; burns it. FAULT_TICKET_INVALID for all that is no
 * good. */
int ticket_redeem(struct dvmd *d, const char *ticket, json_t **ret,
		  struct fault *fault) _must_check_;
