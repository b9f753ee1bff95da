/* SPDX-License-Identifier: Apache-2.0 */
/* The names of a session's life: states, events and actions. What follows what stands in
 * session_table.h. */
#pragma once

#include <stdbool.h>

#include "macro.h"

enum session_state {
	SESSION_REQUESTED,    /* recorded; nothing checked yet */
	SESSION_AUTHORIZED,   /* the owner's rights and the targets have been checked */
	SESSION_PLACED,	      /* a host has room for the D-VM */
	SESSION_PROVISIONING, /* the D-VM is being made and boots */
	SESSION_ATTACHING,    /* the D-VM is up; attachments are being made (again) */
	SESSION_READY,	      /* the user can work */
	SESSION_DETACHING,    /* everything is being undone, until nothing is left */
	SESSION_ENDED,	      /* over, as asked for */
	SESSION_FAILED,	      /* over, for the fault that the session records */
	_SESSION_STATE_MAX,
};

enum session_event {
	SESSION_EV_AUTHORIZED,
	SESSION_EV_PLACED,
	SESSION_EV_IMAGE_CHOSEN,
	SESSION_EV_DVM_UP,   /* the agent said `ready` */
	SESSION_EV_ATTACHED, /* every attachment is as wished */
	SESSION_EV_WISHED,   /* an attachment was asked for or given back */
	SESSION_EV_RESUME,   /* reconcile: do the state's action again */
	SESSION_EV_RELAY_LOST,
	SESSION_EV_DVM_LOST, /* with a fault */
	SESSION_EV_LEASE_EXPIRED,
	SESSION_EV_END,		   /* the user, or an administrator */
	SESSION_EV_FAIL,	   /* with a fault: an action has given up */
	SESSION_EV_RELEASED,	   /* nothing is left, no fault is recorded */
	SESSION_EV_RELEASED_FAULT, /* nothing is left, a fault is recorded */
	_SESSION_EVENT_MAX,
};

/* What a transition sets going. An action may be repeated at any time and posts events; it never
 * changes a state. */
enum session_action {
	SESSION_ACT_AUTHORIZE = 1 << 0,
	SESSION_ACT_PLACE = 1 << 1,
	SESSION_ACT_CHOOSE_IMAGE = 1 << 2,
	SESSION_ACT_PROVISION = 1 << 3,
	SESSION_ACT_ATTACH = 1 << 4,
	SESSION_ACT_RELEASE = 1 << 5,
};
#define _SESSION_ACTION_COUNT 6

/* Stable names: "ready", "dvm-lost", "provision". Never NULL. */
const char *session_state_name(enum session_state s);
const char *session_event_name(enum session_event e);
/* `a` is a single action. */
const char *session_action_name(enum session_action a);
/* -EINVAL for a name that is no state. */
int session_state_parse(const char *name, enum session_state *ret) _must_check_;

/* ended or failed */
static inline bool session_state_final(enum session_state s)
{
	return s == SESSION_ENDED || s == SESSION_FAILED;
}
