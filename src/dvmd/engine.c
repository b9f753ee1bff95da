/* SPDX-License-Identifier: Apache-2.0 */
/* Transitions of sessions, and the timers that drive them. What actions do is in engine_actions.c.
 */
#include "engine.h"

#include <errno.h>
#include <string.h>

#include "clock.h"
#include "cloud.h"
#include "engine_internal.h"
#include "events.h"
#include "failpoint.h"
#include "later.h"
#include "list.h"
#include "log.h"
#include "parse.h"
#include "session_lease.h"
#include "view.h"

#define RETRY_FIRST (100 * USEC_PER_MSEC)
#define RETRY_LONGEST (5 * USEC_PER_SEC)
#define LEASE_ACCURACY (100 * USEC_PER_MSEC)
#define WATCHES_MAX 1024
#define CONFIG_TIMEOUT (10 * USEC_PER_SEC)

struct watch {
	struct list link;
	struct engine *e;
	char attachment[ID_MAX];
	ops_reply_fn fn;
	void *user;
	sd_event_source *deadline;
};

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
	return r < 0 ? fault_set(fault, FAULT_TIMEOUT, "a test wants it so") : 0;
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

		fault_set(&fault, FAULT_INTERNAL, "out of memory");
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

/* ---- the lease */

static int on_lease(sd_event_source *source, uint64_t usec, void *user);

static void lease_arm(struct run *run, const struct session_row *row)
{
	usec_t at = row->lease_warned
			    ? row->lease_expires
			    : session_lease_warning_at(row->lease_expires, row->lease_length);
	int r;

	run->lease = sd_event_source_disable_unref(run->lease);
	if (row->state >= SESSION_DETACHING) {
		return;
	}
	r = sd_event_add_time(run->e->d->event, &run->lease, CLOCK_REALTIME, at, LEASE_ACCURACY,
			      on_lease, run);
	if (r < 0) {
		log_err("%s: no timer for its lease: %s", run->id, strerror(-r));
	}
}

static int lease_warn(struct run *run, struct session_row *row, struct fault *fault)
{
	struct dvmd *d = run->e->d;
	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
	int r = store_tx_begin(&tx, d->store, fault);

	row->lease_warned = true;
	if (r == 0) {
		r = store_session_update(d->store, row, fault);
	}
	if (r == 0) {
		r = events_add(d->events, "session.lease-warning", row->id, NULL, row->project,
			       json_pack("{s:o}", "expires", view_time(row->lease_expires)), fault);
	}
	if (r == 0) {
		r = store_tx_commit(&tx, fault);
	}
	if (r == 0) {
		events_committed(d->events);
	}
	return r;
}

static int on_lease(sd_event_source *source, uint64_t usec, void *user)
{
	struct run *run = user;
	struct session_row row;
	struct fault fault = { 0 };
	int r = store_session_get(run->e->d->store, run->id, &row, &fault);

	if (r == 0 && clock_realtime() >= row.lease_expires) {
		struct change change = { .reason = "lease-expired" };

		session_row_fini(&row);
		r = engine_transition(run->e, run->id, SESSION_EV_LEASE_EXPIRED, &change, &fault);
		if (r == 0) {
			return 0; /* the run may be gone */
		}
	} else if (r == 0) {
		r = lease_warn(run, &row, &fault);
		if (r == 0) {
			lease_arm(run, &row);
		}
		session_row_fini(&row);
	}
	if (r < 0) {
		log_warn("%s: its lease cannot be recorded: %s, trying again", run->id,
			 fault.message);
		sd_event_source_set_time_relative(run->lease, RETRY_LONGEST);
		sd_event_source_set_enabled(run->lease, SD_EVENT_ONESHOT);
	}
	return 0;
}

static void config_answer(const json_t *result, const struct fault *fault, void *user)
{
	if (fault) {
		log_debug("the D-VM was not told: %s, ignoring", fault_code_name(fault->code));
	}
}

void engine_lease_changed(struct engine *e, const char *session)
{
	struct run *run = map_get(e->runs, session);
	struct session_row row;

	if (!run || store_session_get(e->d->store, session, &row, NULL) < 0) {
		return;
	}
	lease_arm(run, &row);
	if (row.state == SESSION_ATTACHING || row.state == SESSION_READY) {
		host_link_call(e->d->host, "dvm.config",
			       json_pack("{s:s,s:o}", "session", session, "agent",
					 agent_config(e->d, &row)),
			       CONFIG_TIMEOUT, config_answer, NULL);
	}
	session_row_fini(&row);
}

void engine_used(struct engine *e, const char *session)
{
	usec_t now = clock_realtime();
	struct session_row row;
	struct fault fault = { 0 };
	int r = 0;

	if (store_session_get(e->d->store, session, &row, NULL) < 0) {
		return;
	}
	if (row.state < SESSION_DETACHING &&
	    session_lease_worth(now, row.lease_expires, row.lease_length)) {
		row.lease_expires = session_lease_renewed(now, row.lease_expires, row.lease_length);
		row.lease_warned = false;
		r = store_session_update(e->d->store, &row, &fault);
		if (r == 0) {
			engine_lease_changed(e, session);
		} else {
			log_warn("%s was used, but its lease cannot be renewed: %s", session,
				 fault.message);
		}
	}
	session_row_fini(&row);
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
static int wish_consoles_again(struct dvmd *d, const char *session, struct fault *fault)
{
	struct attachment_row *rows = NULL;
	size_t n = 0;
	int r = store_attachment_list(d->store, session, &rows, &n, fault);

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (rows[i].kind == ATTACHMENT_CONSOLE && rows[i].state == ATTACHMENT_ATTACHED) {
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
		r = wish_consoles_again(d, row->id, fault);
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
		return fault_set(fault, FAULT_INTERNAL, "out of memory");
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

/* ---- watches */

static void watch_free(struct watch *w)
{
	list_del(&w->link);
	w->e->n_watches--;
	sd_event_source_disable_unref(w->deadline);
	free(w);
}

static void watch_answer(struct watch *w)
{
	ops_reply_fn fn = w->fn;
	void *user = w->user;
	struct attachment_row a;
	struct fault fault = { 0 };
	int r = store_attachment_get(w->e->d->store, w->attachment, &a, &fault);

	watch_free(w);
	if (r < 0) {
		if (r == -ENOENT) {
			fault_set(&fault, FAULT_NOT_FOUND, "the attachment is gone");
		}
		fn(NULL, &fault, user);
		return;
	}
	if (a.state == ATTACHMENT_GONE && a.fault.code != FAULT_NONE) {
		fn(NULL, &a.fault, user);
	} else {
		now_result(view_attachment(&a), fn, user);
	}
	attachment_row_fini(&a);
}

static int on_watch_deadline(sd_event_source *source, uint64_t usec, void *user)
{
	watch_answer(user);
	return 0;
}

void engine_watch(struct engine *e, const char *attachment, ops_reply_fn fn, void *user)
{
	struct watch *w = e->n_watches < WATCHES_MAX ? calloc(1, sizeof(*w)) : NULL;
	struct attachment_row a;
	struct fault fault = { 0 };
	usec_t wait = ATTACH_ANSWER_MAX;

	if (!w) {
		fault_set(&fault, FAULT_QUOTA, "too many requests wait for attachments");
		later_fault(e->d->event, &fault, fn, user);
		return;
	}
	w->e = e;
	w->fn = fn;
	w->user = user;
	strcpy(w->attachment, attachment);
	list_init(&w->link);
	list_add_tail(&e->watches, &w->link);
	e->n_watches++;
	if (store_attachment_get(e->d->store, attachment, &a, &fault) < 0) {
		wait = 0;
	} else {
		if (a.state == ATTACHMENT_ATTACHED || a.state == ATTACHMENT_GONE) {
			wait = 0;
		}
		attachment_row_fini(&a);
	}
	if (sd_event_add_time_relative(e->d->event, &w->deadline, CLOCK_MONOTONIC, wait, 1,
				       on_watch_deadline, w) < 0) {
		watch_answer(w);
	}
}

int attachment_commit(struct engine *e, const struct session_row *session,
		      const struct attachment_row *a, struct fault *fault)
{
	struct dvmd *d = e->d;
	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
	struct watch *w, *next;
	int r = store_tx_begin(&tx, d->store, fault);

	if (r == 0) {
		r = store_attachment_update(d->store, a, fault);
	}
	if (r == 0) {
		r = events_add(d->events, "attachment.state", session->id, a->vm, session->project,
			       view_attachment(a), fault);
	}
	if (r == 0) {
		r = store_tx_commit(&tx, fault);
	}
	if (r < 0) {
		return r;
	}
	log_info("%s %s of %s: %s", session->id, attachment_kind_name(a->kind), a->vm,
		 attachment_state_name(a->state));
	events_committed(d->events);
	list_for_each_safe (w, next, &e->watches, link) {
		if (strcmp(w->attachment, a->id) == 0 &&
		    (a->state == ATTACHMENT_ATTACHED || a->state == ATTACHMENT_GONE)) {
			sd_event_source_set_time_relative(w->deadline, 0);
		}
	}
	return 0;
}

/* ---- what others notice */

/* The disks of a fenced VM cannot be in two places: the D-VM has to let go. */
void engine_vm_changed(struct engine *e, const struct vm_row *vm)
{
	struct attachment_row *rows = NULL;
	struct session_row session;
	struct fault fault = { 0 };
	size_t n = 0;

	if (!vm->fence[0] || vm->state == VM_OFF || vm->state == VM_GONE ||
	    vm->state == VM_UNKNOWN ||
	    store_session_get(e->d->store, vm->fence, &session, &fault) < 0) {
		return;
	}
	if (store_attachment_list(e->d->store, session.id, &rows, &n, &fault) == 0) {
		for (size_t i = 0; i < n; i++) {
			if (rows[i].kind != ATTACHMENT_DISK || strcmp(rows[i].vm, vm->id) != 0 ||
			    rows[i].state != ATTACHMENT_ATTACHED) {
				continue;
			}
			log_warn("%s: %s was started behind our back, its disks are detached",
				 session.id, vm->id);
			rows[i].state = ATTACHMENT_DETACHING;
			fault_set(&rows[i].fault, FAULT_VM_RUNNING, "VM %s was started meanwhile",
				  vm->name);
			if (attachment_commit(e, &session, &rows[i], &fault) < 0 ||
			    engine_post(e, session.id, SESSION_EV_WISHED, NULL, NULL, &fault) < 0) {
				log_warn("%s: cannot be recorded: %s", session.id, fault.message);
			}
		}
	}
	attachment_rows_free(rows, n);
	session_row_fini(&session);
}

/* A session that may be in a state we have not heard of: look again, soon. */
static void post_or_reconcile(struct engine *e, const char *session, enum session_event event,
			      const struct fault *fault)
{
	struct fault refused = { 0 };

	if (engine_post(e, session, event, fault, NULL, &refused) < 0) {
		log_warn("%s %s cannot be recorded: %s, looking again", session,
			 session_event_name(event), refused.message);
		if (sd_event_source_set_time_relative(e->reconcile_timer, RETRY_LONGEST) == 0) {
			sd_event_source_set_enabled(e->reconcile_timer, SD_EVENT_ONESHOT);
		}
	}
}

/* Events that only stand in the timeline. */
static void note(struct engine *e, const char *type, const char *session, json_t *data)
{
	struct session_row row;
	struct fault fault = { 0 };
	int r = store_session_get(e->d->store, session, &row, &fault);

	if (r < 0) {
		json_decref(data);
		return;
	}
	r = events_add(e->d->events, type, session, NULL, row.project, data, &fault);
	session_row_fini(&row);
	if (r < 0) {
		log_debug("%s of %s is not recorded: %s, ignoring", type, session, fault.message);
		return;
	}
	events_committed(e->d->events);
}

/* The relay of a VM's console is another one: the session that has the VM links to it anew. */
static void console_back(struct engine *e, const char *vm)
{
	struct attachment_row *rows = NULL;
	struct session_row session;
	char id[ID_MAX];
	struct fault fault = { 0 };
	size_t n = 0;

	if (store_session_of_vm(e->d->store, vm, id, &fault) < 0 ||
	    store_session_get(e->d->store, id, &session, &fault) < 0) {
		return;
	}
	if (store_attachment_list(e->d->store, id, &rows, &n, &fault) == 0) {
		for (size_t i = 0; i < n; i++) {
			if (rows[i].kind == ATTACHMENT_CONSOLE && strcmp(rows[i].vm, vm) == 0 &&
			    rows[i].state == ATTACHMENT_ATTACHED) {
				rows[i].state = ATTACHMENT_WANTED;
				if (attachment_commit(e, &session, &rows[i], &fault) == 0) {
					post_or_reconcile(e, id, SESSION_EV_WISHED, NULL);
				}
			}
		}
	}
	attachment_rows_free(rows, n);
	session_row_fini(&session);
}

static const char *text_of(const json_t *params, const char *member)
{
	return json_string_value(json_object_get(params, member));
}

void engine_notice(struct engine *e, const char *method, json_t *params)
{
	const char *session = text_of(params, "session"), *vm = text_of(params, "vm");
	struct fault fault;

	if (strcmp(method, "domain.changed") == 0) {
		const char *uuid = text_of(params, "uuid"), *state = text_of(params, "state");

		if (uuid && state) {
			e->d->cloud->ops->observed(
				e->d->cloud, uuid,
				strcmp(state, "gone") == 0 ? VM_GONE : vm_state_parse(state));
		}
	} else if (strcmp(method, "dvm.lost") == 0 && session) {
		fault_set(&fault, FAULT_DVM_LOST, "the D-VM is gone");
		post_or_reconcile(e, session, SESSION_EV_DVM_LOST, &fault);
	} else if (strcmp(method, "relay.lost") == 0 && session) {
		post_or_reconcile(e, session, SESSION_EV_RELAY_LOST, NULL);
	} else if (strcmp(method, "relay.back") == 0 && session) {
		post_or_reconcile(e, session, SESSION_EV_RESUME, NULL);
	} else if (strcmp(method, "relay.back") == 0 && vm) {
		console_back(e, vm);
	} else if (strcmp(method, "session.progress") == 0 && session) {
		const char *step = text_of(params, "step"), *detail = text_of(params, "detail");

		note(e, "session.progress", session,
		     json_pack("{s:s,s:s}", "step", step ?: "", "detail", detail ?: ""));
	} else if (strcmp(method, "recording.stopped") == 0 && session) {
		const char *name = text_of(params, "name"), *code = text_of(params, "code");

		note(e, "recording.stopped", session,
		     json_pack("{s:s,s:s}", "name", name ?: "", "code", code ?: ""));
	} else if (strcmp(method, "hypervisor") == 0) {
		if (json_is_true(json_object_get(params, "up"))) {
			log_info("the hypervisor is there");
			reconcile(e);
		} else {
			log_warn("the hypervisor is away");
		}
	} else {
		log_debug("notice %s, ignoring", method);
	}
}

void engine_host_up(struct engine *e)
{
	reconcile(e);
}

void engine_host_down(struct engine *e)
{
	e->reconcile_number++;
}

static int on_reconcile(sd_event_source *source, uint64_t usec, void *user)
{
	struct engine *e = user;

	if (host_link_is_up(e->d->host)) {
		reconcile(e);
	}
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
	r = e->runs ? sd_event_add_time(d->event, &e->reconcile_timer, CLOCK_MONOTONIC, 0, 0,
					on_reconcile, e)
		    : -ENOMEM;
	if (r == 0) {
		r = sd_event_source_set_enabled(e->reconcile_timer, SD_EVENT_OFF);
	}
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
		struct watch *w, *next_watch;
		struct run *run;
		size_t it = 0;

		list_for_each_safe (w, next_watch, &e->watches, link) {
			watch_free(w);
		}
		while (e->runs && (run = map_next(e->runs, &it, NULL))) {
			run_free(run);
		}
		map_free(e->runs);
		sd_event_source_disable_unref(e->reconcile_timer);
		free(e);
	}
	return NULL;
}
