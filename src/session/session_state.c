/* SPDX-License-Identifier: Apache-2.0 */
/* Names of states, events and actions. */
#include "session_state.h"

#include <errno.h>
#include <string.h>

static const char *const state_names[] = {
	[SESSION_REQUESTED] = "requested", [SESSION_AUTHORIZED] = "authorized",
	[SESSION_PLACED] = "placed",	   [SESSION_PROVISIONING] = "provisioning",
	[SESSION_ATTACHING] = "attaching", [SESSION_READY] = "ready",
	[SESSION_DETACHING] = "detaching", [SESSION_ENDED] = "ended",
	[SESSION_FAILED] = "failed",
};
static_assert(ARRAY_SIZE(state_names) == _SESSION_STATE_MAX, "a name for each state");

static const char *const event_names[] = {
	[SESSION_EV_AUTHORIZED] = "authorized",
	[SESSION_EV_PLACED] = "placed",
	[SESSION_EV_IMAGE_CHOSEN] = "image-chosen",
	[SESSION_EV_DVM_UP] = "dvm-up",
	[SESSION_EV_ATTACHED] = "attached",
	[SESSION_EV_WISHED] = "wished",
	[SESSION_EV_RESUME] = "resume",
	[SESSION_EV_RELAY_LOST] = "relay-lost",
	[SESSION_EV_DVM_LOST] = "dvm-lost",
	[SESSION_EV_LEASE_EXPIRED] = "lease-expired",
	[SESSION_EV_END] = "end",
	[SESSION_EV_FAIL] = "fail",
	[SESSION_EV_RELEASED] = "released",
	[SESSION_EV_RELEASED_FAULT] = "released-fault",
};
static_assert(ARRAY_SIZE(event_names) == _SESSION_EVENT_MAX, "a name for each event");

/* By bit number. */
static const char *const action_names[] = {
	"authorize", "place", "choose-image", "provision", "attach", "release",
};
static_assert(ARRAY_SIZE(action_names) == _SESSION_ACTION_COUNT, "a name for each action");

const char *session_state_name(enum session_state s)
{
	return s < _SESSION_STATE_MAX ? state_names[s] : "unknown";
}

const char *session_event_name(enum session_event e)
{
	return e < _SESSION_EVENT_MAX ? event_names[e] : "unknown";
}

const char *session_action_name(enum session_action a)
{
	for (unsigned i = 0; i < _SESSION_ACTION_COUNT; i++) {
		if (a == 1u << i) {
			return action_names[i];
		}
	}
	return "unknown";
}

int session_state_parse(const char *name, enum session_state *ret)
{
	for (unsigned i = 0; i < _SESSION_STATE_MAX; i++) {
		if (strcmp(name, state_names[i]) == 0) {
			*ret = (enum session_state)i;
			return 0;
		}
	}
	return -EINVAL;
}
