/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the engine: engine.c (transitions, timers), engine_actions.c, reconcile.c.
 */
#pragma once

#include "dvmd.h"
#include "engine.h"
#include "host_link.h"
#include "list.h"
#include "map.h"

struct engine {
	struct dvmd *d;
	struct map *runs; /* by session id */
	struct list watches;
	size_t n_watches;
	/* reconcile.c */
	unsigned reconcile_number; /* answers to an older one are void */
	sd_event_source *reconcile_timer;
};

/* A session that is not over. */
struct run {
	struct engine *e;
	char id[ID_MAX];
	enum session_action acting; /* 0: nothing to do */
	unsigned number;	    /* of what it does now: answers to anything else are void */
	bool fresh;		    /* its first step has not run */
	bool calling;		    /* an answer is waited for */
	bool forced;		    /* release: disks that do not let go are not asked again */
	unsigned tries;
	sd_event_source *kick;	/* goes on with the action */
	sd_event_source *lease; /* warning or expiry, whichever is next */
};

/* What a transition writes besides the state. NULL: as it is. */
struct change {
	const struct fault *fault;
	const char *reason, *image, *host_key;
};

int engine_transition(struct engine *e, const char *session, enum session_event event,
		      const struct change *change, struct fault *ret_fault);

/* The action has come to its end: posts what it came to. The run may be gone afterwards. */
void run_done(struct run *run, enum session_event event, const struct change *change);
/* Nothing more to do in this state. */
void run_idle(struct run *run);
/* The next step, at once or after a while (longer and longer). */
void run_continue(struct run *run);
void run_retry(struct run *run, const struct fault *why);

/* Answers of a run's calls; the run is the one that asked. `arg` as it was given. */
typedef void (*run_answer_fn)(struct run *run, const json_t *result, const struct fault *fault,
			      const char *arg);
/* Takes `params`. `arg`: an id that the answer needs, or "". */
void run_call(struct run *run, const char *method, json_t *params, usec_t timeout, run_answer_fn fn,
	      const char *arg);
void run_fence(struct run *run, const char *vm, run_answer_fn fn, const char *arg);

/* One step of the run's action. */
void run_act(struct run *run, const struct session_row *row);
/* Commits the row with its event and tells who watches it. */
int attachment_commit(struct engine *e, const struct session_row *session,
		      const struct attachment_row *a, struct fault *fault);

/* Sets the timer for the lease as it stands in the row. */
void lease_arm(struct run *run, const struct session_row *row);
void watches_free(struct engine *e);

/* The same may succeed later, without anybody doing anything about it. */
bool fault_retryable(const struct fault *fault);

/* Compares the store with what there is and posts what follows. */
int reconcile_init(struct engine *e) _must_check_;
void reconcile(struct engine *e);
/* In a while: something could not be recorded or undone. */
void reconcile_soon(struct engine *e);
/* What the host says a session's D-VM has as its key; another one than before is recorded. */
void engine_host_key(struct engine *e, const char *session, const char *key);
/* The host is away: what was asked is void. */
void reconcile_stop(struct engine *e);
