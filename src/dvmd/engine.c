/* SPDX-License-Identifier: Apache-2.0 */
/* Transitions of sessions, and the runs that drive them. */
#include "engine.h"

#include <errno.h>
#include <string.h>

#include "clock.h"
#include "cloud.h"
#include "engine_internal.h"
#include "events.h"
#include "failpoint.h"
#include "list.h"
#include "log.h"
#include "prepare.h"
#include "view.h"

#define RETRY_FIRST (100 * USEC_PER_MSEC)
#define RETRY_LONGEST (5 * USEC_PER_SEC)

static int on_kick(sd_event_source *source, uint64_t usec, void *user);

/* ---- runs */

static struct run *run_free(struct run *run)
{
	sd_event_source_disable_unref(run->kick);
	sd_event_source_disable_unref(run->lease);
	free(run);
	return NULL;
}

static struct run *run_new(struct engine *e, const char *id)
{
	struct run *run = calloc(1, sizeof(*run));

	if (!run) {
		return NULL;
	}
	run->e = e;
	strcpy(run->id, id);
	if (map_put(e->runs, id, run, NULL) < 0) {
		return run_free(run);
	}
	return run;
}

static void run_kick(struct run *run, usec_t after)
{
	int r;

	if (run->kick) {
		r = sd_event_source_set_time_relative(run->kick, after);
		if (r == 0) {
			r = sd_event_source_set_enabled(run->kick, SD_EVENT_ONESHOT);
		}
	} else {
		r = sd_event_add_time_relative(run->e->d->event, &run->kick, CLOCK_MONOTONIC, after,
					       1, on_kick, run);
	}
	if (r < 0) {
		log_err("%s waits for the next reconcile: no timer: %s", run->id, strerror(-r));
	}
}

void run_continue(struct run *run)
{
	run->calling = false;
	run->tries = 0;
	run_kick(run, 0);
}

void run_retry(struct run *run, const struct fault *why)
{
	usec_t after = RETRY_FIRST << MIN(run->tries, 10u);

	run->calling = false;
	run->tries++;
	log_debug("%s %s: %s, trying again", run->id, session_action_name(run->acting),
		  fault_code_name(why->code));
	run_kick(run, MIN(after, RETRY_LONGEST));
}

void run_idle(struct run *run)
{
	run->acting = 0;
	run->calling = false;
	run->number++;
	if (run->kick) {
		sd_event_source_set_enabled(run->kick, SD_EVENT_OFF);
	}
}

static void run_begin(struct run *run, enum session_action action)
{
	if (run->acting == action) {
		/* It is at it; a pause for breath ends here. */
		if (!run->calling) {
			run_continue(run);
		}
		return;
	}
	run_idle(run);
	run->acting = action;
	run->fresh = true;
	run->forced = false;
	run_continue(run);
}

static int run_failpoint(struct run *run, const char *when, struct fault *fault)
{
	char name[64];
	int r;

	snprintf(name, sizeof(name), "engine.%s.%s", when, session_action_name(run->acting));
	r = failpoint(name);
	return r < 0 ? fault_set(fault, FAULT_TIMEOUT, "A test wants it so") : 0;
}

static int on_kick(sd_event_source *source, uint64_t usec, void *user)
{
	struct run *run = user;
	struct session_row row;
	struct fault fault = { 0 };
	int r = 0;

	if (!run->acting || run->calling) {
		return 0;
	}
	if (run->fresh) {
		r = run_failpoint(run, "before", &fault);
		run->fresh = r < 0;
	}
	if (r == 0) {
		r = store_session_get(run->e->d->store, run->id, &row, &fault);
	}
	if (r < 0) {
		run_retry(run, &fault);
		return 0;
	}
	run_act(run, &row);
	session_row_fini(&row);
	return 0;
}

void run_done(struct run *run, enum session_event event, const struct change *change)
{
	enum session_action acting = run->acting;
	struct fault fault = { 0 };
	int r = run_failpoint(run, "after", &fault);

	if (r == 0) {
		run_idle(run);
		r = engine_transition(run->e, run->id, event, change, &fault);
	}
	if (r < 0) {
		/* Nothing was recorded: the action is done once more, for a record that can be
		 * written. */
		log_warn("%s %s cannot be recorded: %s, trying again", run->id,
			 session_event_name(event), fault.message);
		run->acting = acting;
		run_retry(run, &fault);
	}
}

/* ---- calls of a run */

struct call {
	struct engine *e;
	char session[ID_MAX], arg[ID_MAX];
	unsigned number;
	run_answer_fn fn;
};

static struct call *call_new(struct run *run, run_answer_fn fn, const char *arg)
{
	struct call *c = calloc(1, sizeof(*c));

	if (!c) {
		struct fault fault;

		fault_set(&fault, FAULT_INTERNAL, "Out of memory");
		run_retry(run, &fault);
		return NULL;
	}
	c->e = run->e;
	c->number = run->number;
	c->fn = fn;
	strcpy(c->session, run->id);
	strcpy(c->arg, arg);
	run->calling = true;
	return c;
}

static void call_answer(const json_t *result, const struct fault *fault, void *user)
{
	struct call *c = user;
	struct run *run = map_get(c->e->runs, c->session);

	if (run && run->number == c->number) {
		run->calling = false;
		c->fn(run, result, fault, c->arg);
	}
	free(c);
}

void run_call(struct run *run, const char *method, json_t *params, usec_t timeout, run_answer_fn fn,
	      const char *arg)
{
	struct call *c = call_new(run, fn, arg);

	if (!c) {
		json_decref(params);
		return;
	}
	host_link_call(run->e->d->host, method, params, timeout, call_answer, c);
}

static void fence_answer(enum vm_state state, const struct fault *fault, void *user)
{
	call_answer(NULL, fault, user);
}

void run_fence(struct run *run, const char *vm, run_answer_fn fn, const char *arg)
{
	struct cloud *cloud = run->e->d->cloud;
	struct call *c = call_new(run, fn, arg);

	if (c) {
		cloud->ops->fence(cloud, vm, run->id, fence_answer, c);
	}
}

bool fault_retryable(const struct fault *fault)
{
	switch (fault->code) {
	case FAULT_HOST_AWAY:
	case FAULT_HYPERVISOR_AWAY:
	case FAULT_RELAY_LOST:
	case FAULT_TIMEOUT:
	case FAULT_CANCELLED:
	case FAULT_STORE_FULL:
		return true;
	default:
		return false;
	}
}

/* ---- transitions */

static json_t *state_event(enum session_state from, const struct session_row *row,
			   enum session_event event, bool with_fault)
{
	json_t *data =
		json_pack("{s:s,s:s,s:s}", "from", session_state_name(from), "to",
			  session_state_name(row->state), "event", session_event_name(event));

	if (data && with_fault) {
		json_object_set_new(data, "fault", view_fault(&row->fault));
	}
	return data;
}

static void apply(struct session_row *row, enum session_state next, const struct change *change)
{
	usec_t now = clock_realtime();

	if (row->state != next) {
		row->state = next;
		row->state_at = now;
	}
	if (change && change->fault && row->fault.code == FAULT_NONE) {
		row->fault = *change->fault;
	}
	if (change && change->image) {
		snprintf(row->image, sizeof(row->image), "%s", change->image);
	}
	if (change && change->host_key) {
		snprintf(row->host_key, sizeof(row->host_key), "%s", change->host_key);
	}
	if (next == SESSION_DETACHING && !row->end_reason[0]) {
		snprintf(row->end_reason, sizeof(row->end_reason), "%s",
			 change && change->reason	 ? change->reason
			 : row->fault.code != FAULT_NONE ? "fault"
							 : "administrator");
	}
	if (next == SESSION_READY && row->ready_at == 0) {
		row->ready_at = now;
	}
	if (session_state_final(next)) {
		row->ended = now;
	}
}

/* A session's relay is another one now: what was linked to the old one is to be linked again. */
static int wish_streams_again(struct dvmd *d, const char *session, struct fault *fault)
{
	struct attachment_row *rows = NULL;
	size_t n = 0;
	int r = store_attachment_list(d->store, session, &rows, &n, fault);

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (attachment_has_relay(rows[i].kind) && rows[i].state == ATTACHMENT_ATTACHED) {
			rows[i].state = ATTACHMENT_WANTED;
			r = store_attachment_update(d->store, &rows[i], fault);
		}
	}
	attachment_rows_free(rows, n);
	return r;
}

static int transition_commit(struct engine *e, const struct session_row *row,
			     enum session_state from, enum session_event event,
			     const struct change *change, struct fault *fault)
{
	struct dvmd *d = e->d;
	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
	int r = store_tx_begin(&tx, d->store, fault);

	if (r == 0) {
		r = store_session_update(d->store, row, fault);
	}
	if (r == 0 && event == SESSION_EV_RELAY_LOST) {
		r = wish_streams_again(d, row->id, fault);
	}
	if (r == 0 && from != row->state) {
		r = events_add(d->events, "session.state", row->id, NULL, row->project,
			       state_event(from, row, event,
					   row->fault.code != FAULT_NONE &&
						   (row->state == SESSION_DETACHING ||
						    row->state == SESSION_FAILED)),
			       fault);
	}
	if (r == 0) {
		r = store_tx_commit(&tx, fault);
	}
	if (r == 0) {
		events_committed(d->events);
	}
	return r;
}

static void measure(struct dvmd *d, const struct session_row *row, enum session_state from,
		    usec_t since)
{
	const char *left = session_state_name(from), *entered = session_state_name(row->state);

	metrics_count(d->metrics, METRIC_TRANSITIONS, entered);
	metrics_observe(d->metrics, METRIC_PHASE_SECONDS, left, row->state_at - since);
	metrics_add(d->metrics, METRIC_SESSIONS, left, -1);
	metrics_add(d->metrics, METRIC_SESSIONS, entered, 1);
	if (row->state == SESSION_READY && row->ready_at == row->state_at) {
		metrics_observe(d->metrics, METRIC_READY_SECONDS, NULL,
				row->ready_at - row->created);
	}
	if (row->state == SESSION_FAILED) {
		metrics_count(d->metrics, METRIC_FAULTS, fault_code_name(row->fault.code));
	}
}

static int transition(struct engine *e, struct session_row *row, enum session_event event,
		      const struct change *change, struct fault *ret_fault)
{
	const struct session_transition *t = session_table_lookup(row->state, event);
	enum session_state from = row->state;
	usec_t since = row->state_at;
	struct run *run = map_get(e->runs, row->id);
	int r;

	if (t->verdict != SESSION_GO || !run) {
		return 0;
	}
	if (t->next != from || event == SESSION_EV_RELAY_LOST) {
		apply(row, t->next, change);
		r = transition_commit(e, row, from, event, change, ret_fault);
		if (r < 0) {
			return r;
		}
	}
	if (t->next != from) {
		log_info("%s %s -> %s (%s)", row->id, session_state_name(from),
			 session_state_name(t->next), session_event_name(event));
		measure(e->d, row, from, since);
		if (row->state == SESSION_READY && row->ready_at == row->state_at) {
			prepare_like(e->d, row);
		}
		run_idle(run);
	}
	if (session_state_final(t->next)) {
		map_remove(e->runs, row->id);
		run_free(run);
		return 0;
	}
	if (t->next == SESSION_DETACHING) {
		lease_arm(run, row);
	}
	if (t->actions) {
		run_begin(run, t->actions);
	}
	return 0;
}

int engine_transition(struct engine *e, const char *session, enum session_event event,
		      const struct change *change, struct fault *ret_fault)
{
	struct session_row row;
	int r = store_session_get(e->d->store, session, &row, ret_fault);

	if (r < 0) {
		return r == -ENOENT ? 0 : r;
	}
	r = transition(e, &row, event, change, ret_fault);
	session_row_fini(&row);
	return r;
}

int engine_post(struct engine *e, const char *session, enum session_event event,
		const struct fault *fault, const char *reason, struct fault *ret_fault)
{
	struct change change = { .fault = fault, .reason = reason };

	return engine_transition(e, session, event, &change, ret_fault);
}

static int engine_drive(struct engine *e, const struct session_row *row, struct fault *fault)
{
	struct run *run = run_new(e, row->id);

	if (!run) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory");
	}
	metrics_add(e->d->metrics, METRIC_SESSIONS, session_state_name(row->state), 1);
	lease_arm(run, row);
	return engine_post(e, row->id, SESSION_EV_RESUME, NULL, NULL, fault);
}

int engine_adopt(struct engine *e, const char *session, struct fault *fault)
{
	struct session_row row;
	int r = store_session_get(e->d->store, session, &row, fault);

	if (r == 0) {
		r = engine_drive(e, &row, fault);
		session_row_fini(&row);
	}
	return r;
}

int engine_start(struct engine *e, struct fault *fault)
{
	struct session_filter live = { .live = true };
	char after[ID_MAX] = "";
	size_t n;

	do {
		struct session_row *rows = NULL;
		int r;

		n = 0;
		r = store_session_list(e->d->store, &live, STORE_PAGE_MAX, after, &rows, &n, fault);
		for (size_t i = 0; r == 0 && i < n; i++) {
			log_info("%s is %s, going on", rows[i].id,
				 session_state_name(rows[i].state));
			strcpy(after, rows[i].id);
			r = engine_drive(e, &rows[i], fault);
		}
		session_rows_free(rows, n);
		if (r < 0) {
			return r;
		}
	} while (n == STORE_PAGE_MAX);
	return 0;
}

int engine_new(struct dvmd *d, struct engine **ret)
{
	struct engine *e = calloc(1, sizeof(*e));
	int r;

	if (!e) {
		return -ENOMEM;
	}
	e->d = d;
	list_init(&e->watches);
	e->runs = map_new();
	r = e->runs ? reconcile_init(e) : -ENOMEM;
	if (r < 0) {
		engine_free(e);
		return r;
	}
	*ret = e;
	return 0;
}

struct engine *engine_free(struct engine *e)
{
	if (e) {
		struct run *run;
		size_t it = 0;

		watches_free(e);
		while (e->runs && (run = map_next(e->runs, &it, NULL))) {
			run_free(run);
		}
		map_free(e->runs);
		sd_event_source_disable_unref(e->reconcile_timer);
		free(e);
	}
	return NULL;
}
