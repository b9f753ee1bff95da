/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives sessions through session_table.h: a transition is committed, logged, and then its actions
 * run.
 *
 * Theory of operation: a session that is not over has a small struct in memory: what action runs,
 * since when, which timers stand. All else is in the store. An action is a chain of calls to
 * dvm-hostd that can be begun anew at any moment; it ends by posting an event. A transition makes
 * the answers of the action before it void (they carry the run's number). Transient faults are
 * retried with back-off, until the state's deadline; while detaching, for ever.
 */
#pragma once

#include "session_ops.h"
#include "session_table.h"
#include "store_session.h"

struct engine;

int engine_new(struct dvmd *d, struct engine **ret) _must_check_;
struct engine *engine_free(struct engine *e);
/* Reads the sessions that are not over. Before the loop runs. */
int engine_start(struct engine *e, struct fault *fault) _must_check_;

/* The only way to change a session's state. `fault`: for events that carry one, else NULL. 0 also
 * when the table ignores the event. -EREMOTEIO: the store refused; nothing changed. `reason`:
 * end_reason for what leads to detaching, else NULL. */
int engine_post(struct engine *e, const char *session, enum session_event event,
		const struct fault *fault, const char *reason, struct fault *ret_fault);
/* A session was added to the store (committed): drive it. */
int engine_adopt(struct engine *e, const char *session, struct fault *fault) _must_check_;
/* The lease in the store was changed (committed): set timers, tell the D-VM. */
void engine_lease_changed(struct engine *e, const char *session);
/* A session was used by a D-VM's verb or a stream: renew where it is worth it. Faults are logged.
 */
void engine_used(struct engine *e, const char *session);

/* Calls `fn` once, from the loop, when an attachment is what its row says it is to be (the row as
 * JSON, or the fault that stands in it), or after ATTACH_ANSWER_MAX with the row as it stands. */
void engine_watch(struct engine *e, const char *attachment, ops_reply_fn fn, void *user);
/* A VM's state changed (committed). */
void engine_vm_changed(struct engine *e, const struct vm_row *vm);

/* For host_link. */
void engine_host_up(struct engine *e);
void engine_host_down(struct engine *e);
void engine_notice(struct engine *e, const char *method, json_t *params);
/* The agent's configuration of PROTOCOL.host. NULL on no memory. */
json_t *agent_config(struct dvmd *d, const struct session_row *row);
