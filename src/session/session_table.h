/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of a session's life: (state, event) -> (next state, actions). Pure. */
#pragma once

#include "session_state.h"

enum session_verdict {
	SESSION_UNDECIDED, /* not in the table: a bug, and a test looks for it */
	SESSION_IGNORE,	   /* comes late, or changes nothing: nothing is recorded */
	SESSION_GO,	   /* to `next` (which may be the same state), then run `actions` */
};

struct session_transition {
	enum session_verdict verdict;
	enum session_state next;
	unsigned actions; /* of enum session_action */
};

const struct session_transition *session_table_lookup(enum session_state s, enum session_event e);
