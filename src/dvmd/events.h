/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of what happened, and who waits for it.
 *
 * Theory of operation: events_add() and audit_add() write into the transaction that is open; after
 * its commit events_committed() tells the listeners that there is something new. A listener reads
 * it from the store with the seq it saw last, so none is lost and none is sent twice, whatever a
 * listener's speed.
 *
 * Types: session.state {from,to,event} · session.progress {step,detail} · session.lease {expires} ·
 * session.lease-warning {expires} · session.verb {verb} · attachment.state {id,vm,kind,state,fault}
 * · vm.adopted {} · vm.released {} · vm.power {verb,by} · vm.changed {from,to,by:"dvm"|"outside"} ·
 * vm.debugger {state:"off"|"running"|"stopped",expired} ·
 * vm.panicked {text,by:"console"|"hypervisor"} ·
 * vm.fenced {} · vm.unfenced {} · recording.stopped {name,code} · port.dropped {port,bytes} ·
 * stream.opened {service,mode}
 */
#pragma once

#include "config.h"
#include "identity.h"
#include "metrics.h"
#include "store_event.h"

struct events;
struct event_listener;

int events_new(struct store *store, const struct config *config, struct metrics *metrics,
	       struct events **ret) _must_check_;
struct events *events_free(struct events *ev);

/* Takes `data` (NULL: {}). session, vm, project (ids): NULL where it has none. */
int events_add(struct events *ev, const char *type, const char *session, const char *vm,
	       const char *project, json_t *data, struct fault *fault) _must_check_;
/* outcome FAULT_NONE: "ok". `who` NULL: dvm itself. `session`: that it is done in or to, or NULL.
 */
int audit_add(struct events *ev, const struct principal *who, const char *project,
	      const char *session, const char *action, const char *object, const char *detail,
	      enum fault_code outcome, struct fault *fault) _must_check_;
/* After each commit of a transaction that may have added some; calls the listeners when there are
 * new ones. */
void events_committed(struct events *ev);

/* `fn` may remove its own listener and no other. */
int events_listen(struct events *ev, void (*fn)(void *user), void *user,
		  struct event_listener **ret) _must_check_;
void events_unlisten(struct event_listener *l);
/* As schema Event of openapi.yaml. NULL on no memory. */
json_t *event_to_json(const struct event_row *e);
