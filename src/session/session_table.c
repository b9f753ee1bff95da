/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of a session's life.
 *
 * It reads by states. Whatever happens before `ready` is either the answer that the state waits
 * for, or leads to detaching; there is no way to `ended` or `failed` but through detaching, since
 * only there is it made sure that nothing is left behind. Events may come late (an answer to an
 * action of the state before) and more than once: those are ignored, not errors.
 */
#include "session_table.h"

#define GO(state, acts)                                                                            \
	{                                                                                          \
		.verdict = SESSION_GO, .next = (state), .actions = (acts)                          \
	}
#define IGNORE                                                                                     \
	{                                                                                          \
		.verdict = SESSION_IGNORE                                                          \
	}

/* How every state before detaching can be left. */
#define LEAVE                                                                                      \
	[SESSION_EV_LEASE_EXPIRED] = GO(SESSION_DETACHING, SESSION_ACT_RELEASE),                   \
	[SESSION_EV_END] = GO(SESSION_DETACHING, SESSION_ACT_RELEASE),                             \
	[SESSION_EV_FAIL] = GO(SESSION_DETACHING, SESSION_ACT_RELEASE)

/* Only detaching waits for these. */
#define NOT_RELEASED [SESSION_EV_RELEASED] = IGNORE, [SESSION_EV_RELEASED_FAULT] = IGNORE

/* There is no D-VM yet, nor anything attached to it. */
#define NO_DVM_YET                                                                                 \
	[SESSION_EV_DVM_UP] = IGNORE, [SESSION_EV_ATTACHED] = IGNORE,                              \
	[SESSION_EV_WISHED] = IGNORE, [SESSION_EV_RELAY_LOST] = IGNORE,                            \
	[SESSION_EV_DVM_LOST] = IGNORE

/* It is over: nothing changes any more. */
#define OVER                                                                                       \
	{                                                                                          \
		[SESSION_EV_AUTHORIZED] = IGNORE, [SESSION_EV_PLACED] = IGNORE,                    \
		[SESSION_EV_IMAGE_CHOSEN] = IGNORE, [SESSION_EV_DVM_UP] = IGNORE,                  \
		[SESSION_EV_ATTACHED] = IGNORE, [SESSION_EV_WISHED] = IGNORE,                      \
		[SESSION_EV_RESUME] = IGNORE, [SESSION_EV_RELAY_LOST] = IGNORE,                    \
		[SESSION_EV_DVM_LOST] = IGNORE, [SESSION_EV_LEASE_EXPIRED] = IGNORE,               \
		[SESSION_EV_END] = IGNORE, [SESSION_EV_FAIL] = IGNORE,                             \
		[SESSION_EV_RELEASED] = IGNORE, [SESSION_EV_RELEASED_FAULT] = IGNORE,              \
	}

/* clang-format off */
static const struct session_transition table[_SESSION_STATE_MAX][_SESSION_EVENT_MAX] = {
	[SESSION_REQUESTED] = {
		[SESSION_EV_AUTHORIZED] = GO(SESSION_AUTHORIZED, SESSION_ACT_PLACE),
		[SESSION_EV_PLACED] = IGNORE,
		[SESSION_EV_IMAGE_CHOSEN] = IGNORE,
		[SESSION_EV_RESUME] = GO(SESSION_REQUESTED, SESSION_ACT_AUTHORIZE),
		NO_DVM_YET, LEAVE, NOT_RELEASED,
	},
	[SESSION_AUTHORIZED] = {
		[SESSION_EV_AUTHORIZED] = IGNORE,
		[SESSION_EV_PLACED] = GO(SESSION_PLACED, SESSION_ACT_CHOOSE_IMAGE),
		[SESSION_EV_IMAGE_CHOSEN] = IGNORE,
		[SESSION_EV_RESUME] = GO(SESSION_AUTHORIZED, SESSION_ACT_PLACE),
		NO_DVM_YET, LEAVE, NOT_RELEASED,
	},
	[SESSION_PLACED] = {
		[SESSION_EV_AUTHORIZED] = IGNORE,
		[SESSION_EV_PLACED] = IGNORE,
		[SESSION_EV_IMAGE_CHOSEN] = GO(SESSION_PROVISIONING, SESSION_ACT_PROVISION),
		[SESSION_EV_RESUME] = GO(SESSION_PLACED, SESSION_ACT_CHOOSE_IMAGE),
		NO_DVM_YET, LEAVE, NOT_RELEASED,
	},
	[SESSION_PROVISIONING] = {
		[SESSION_EV_AUTHORIZED] = IGNORE,
		[SESSION_EV_PLACED] = IGNORE,
		[SESSION_EV_IMAGE_CHOSEN] = IGNORE,
		[SESSION_EV_DVM_UP] = GO(SESSION_ATTACHING, SESSION_ACT_ATTACH),
		[SESSION_EV_ATTACHED] = IGNORE,
		[SESSION_EV_WISHED] = IGNORE, /* attaching looks at all wishes */
		[SESSION_EV_RESUME] = GO(SESSION_PROVISIONING, SESSION_ACT_PROVISION),
		/* Making the D-VM is what brings its relay up, and what reports that it died: the action says. */
		[SESSION_EV_RELAY_LOST] = IGNORE,
		[SESSION_EV_DVM_LOST] = IGNORE,
		LEAVE, NOT_RELEASED,
	},
	[SESSION_ATTACHING] = {
		[SESSION_EV_AUTHORIZED] = IGNORE,
		[SESSION_EV_PLACED] = IGNORE,
		[SESSION_EV_IMAGE_CHOSEN] = IGNORE,
		[SESSION_EV_DVM_UP] = IGNORE,
		[SESSION_EV_ATTACHED] = GO(SESSION_READY, 0),
		[SESSION_EV_WISHED] = GO(SESSION_ATTACHING, SESSION_ACT_ATTACH),
		[SESSION_EV_RESUME] = GO(SESSION_ATTACHING, SESSION_ACT_ATTACH),
		[SESSION_EV_RELAY_LOST] = GO(SESSION_ATTACHING, SESSION_ACT_ATTACH),
		[SESSION_EV_DVM_LOST] = GO(SESSION_DETACHING, SESSION_ACT_RELEASE),
		LEAVE, NOT_RELEASED,
	},
	[SESSION_READY] = {
		[SESSION_EV_AUTHORIZED] = IGNORE,
		[SESSION_EV_PLACED] = IGNORE,
		[SESSION_EV_IMAGE_CHOSEN] = IGNORE,
		[SESSION_EV_DVM_UP] = IGNORE,
		[SESSION_EV_ATTACHED] = IGNORE, /* of a wish; the user works on meanwhile */
		[SESSION_EV_WISHED] = GO(SESSION_READY, SESSION_ACT_ATTACH),
		[SESSION_EV_RESUME] = GO(SESSION_READY, SESSION_ACT_ATTACH),
		[SESSION_EV_RELAY_LOST] = GO(SESSION_ATTACHING, SESSION_ACT_ATTACH),
		[SESSION_EV_DVM_LOST] = GO(SESSION_DETACHING, SESSION_ACT_RELEASE),
		LEAVE, NOT_RELEASED,
	},
	[SESSION_DETACHING] = {
		[SESSION_EV_AUTHORIZED] = IGNORE,
		[SESSION_EV_PLACED] = IGNORE,
		[SESSION_EV_IMAGE_CHOSEN] = IGNORE,
		[SESSION_EV_DVM_UP] = IGNORE,
		[SESSION_EV_ATTACHED] = IGNORE,
		[SESSION_EV_WISHED] = IGNORE,
		[SESSION_EV_RESUME] = GO(SESSION_DETACHING, SESSION_ACT_RELEASE),
		[SESSION_EV_RELAY_LOST] = IGNORE, /* so it must be */
		[SESSION_EV_DVM_LOST] = IGNORE,
		[SESSION_EV_LEASE_EXPIRED] = IGNORE,
		[SESSION_EV_END] = IGNORE,
		[SESSION_EV_FAIL] = IGNORE, /* releasing never gives up */
		[SESSION_EV_RELEASED] = GO(SESSION_ENDED, 0),
		[SESSION_EV_RELEASED_FAULT] = GO(SESSION_FAILED, 0),
	},
	[SESSION_ENDED] = OVER,
	[SESSION_FAILED] = OVER,
};
/* clang-format on */

const struct session_transition *session_table_lookup(enum session_state s, enum session_event e)
{
	static const struct session_transition nothing = IGNORE;

	return s < _SESSION_STATE_MAX && e < _SESSION_EVENT_MAX ? &table[s][e] : &nothing;
}
