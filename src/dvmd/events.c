/* SPDX-License-Identifier: Apache-2.0 */
/* Events and audit rows into the record, and the listeners. */
#include "events.h"

#include <string.h>

#include "clock.h"
#include "list.h"
#include "log.h"
#include "store_idempotency.h"

#define TRIM_EVERY 1000 /* events */
#define LISTENERS_MAX 256

struct events {
	struct store *store;
	const struct config *config;
	struct metrics *metrics;
	struct list listeners;
	size_t n_listeners;
	unsigned since_trim;
	bool fresh; /* something was added since the last events_committed() */
};

struct event_listener {
	struct list link;
	struct events *events;
	void (*fn)(void *user);
	void *user;
};

int events_new(struct store *store, const struct config *config, struct metrics *metrics,
	       struct events **ret)
{
	struct events *ev = calloc(1, sizeof(*ev));

	if (!ev) {
		return -ENOMEM;
	}
	ev->store = store;
	ev->config = config;
	ev->metrics = metrics;
	ev->since_trim = TRIM_EVERY; /* once soon after the start */
	list_init(&ev->listeners);
	*ret = ev;
	return 0;
}

struct events *events_free(struct events *ev)
{
	free(ev);
	return NULL;
}

/* Cuts at the size of the array `out`; NULL is "". */
#define copy(out, text) snprintf(out, sizeof(out), "%s", (text) ?: "")

int events_add(struct events *ev, const char *type, const char *session, const char *vm,
	       const char *project, json_t *data, struct fault *fault)
{
	struct event_row row = { .time = clock_realtime(), .data = data };
	uint64_t seq;
	int r;

	copy(row.type, type);
	copy(row.session, session);
	copy(row.vm, vm);
	copy(row.project, project);
	r = store_event_add(ev->store, &row, &seq, fault);
	event_row_fini(&row);
	if (r < 0) {
		return r;
	}
	ev->fresh = true;
	ev->since_trim++;
	metrics_count(ev->metrics, METRIC_EVENTS, NULL);
	return 0;
}

int audit_add(struct events *ev, const struct principal *who, const char *project,
	      const char *session, const char *action, const char *object, const char *detail,
	      enum fault_code outcome, struct fault *fault)
{
	struct audit_row row = { .time = clock_realtime() };
	int r;

	if (who) {
		copy(row.user, who->user);
		copy(row.token, who->token);
		copy(row.request, who->request);
		if (!session && who->session[0]) {
			session = who->session;
		}
	}
	copy(row.project, project);
	copy(row.session, session);
	copy(row.action, action);
	copy(row.object, object);
	copy(row.detail, detail);
	copy(row.outcome, outcome == FAULT_NONE ? "ok" : fault_code_name(outcome));
	r = store_audit_add(ev->store, &row, fault);
	/* With the act itself, so that its repetition finds it whatever becomes of the answer. */
	if (r == 0 && outcome == FAULT_NONE && who && who->key[0]) {
		r = store_idempotency_done(ev->store, who->user, who->key,
					   row.object[0] ? row.object : row.action, fault);
	}
	return r;
}

static void trim(struct events *ev)
{
	struct fault fault = { 0 };

	ev->since_trim = 0;
	if (store_event_trim(ev->store, ev->config->events_max, ev->config->events_age, &fault) <
		    0 ||
	    store_audit_trim(ev->store, ev->config->audit_max, ev->config->audit_age, &fault) < 0) {
		log_warn("the record cannot be trimmed: %s, ignoring", fault.message);
	}
}

void events_committed(struct events *ev)
{
	struct event_listener *l, *next;

	if (!ev->fresh) {
		return;
	}
	ev->fresh = false;
	if (ev->since_trim >= TRIM_EVERY && !store_in_tx(ev->store)) {
		trim(ev);
	}
	list_for_each_safe (l, next, &ev->listeners, link) {
		l->fn(l->user);
	}
}

int events_listen(struct events *ev, void (*fn)(void *user), void *user,
		  struct event_listener **ret)
{
	struct event_listener *l;

	if (ev->n_listeners == LISTENERS_MAX) {
		return -ENOSPC;
	}
	l = calloc(1, sizeof(*l));
	if (!l) {
		return -ENOMEM;
	}
	l->events = ev;
	l->fn = fn;
	l->user = user;
	list_init(&l->link);
	list_add_tail(&ev->listeners, &l->link);
	ev->n_listeners++;
	*ret = l;
	return 0;
}

void events_unlisten(struct event_listener *l)
{
	if (l) {
		list_del(&l->link);
		l->events->n_listeners--;
		free(l);
	}
}

static json_t *text_or_null(const char *text)
{
	return *text ? json_string(text) : json_null();
}

json_t *event_to_json(const struct event_row *e)
{
	char time[32];

	clock_format(e->time, time);
	return json_pack("{s:I,s:s,s:s,s:o,s:o,s:o,s:O}", "id", (json_int_t)e->seq, "at", time,
			 "type", e->type, "project", text_or_null(e->project_name), "session",
			 text_or_null(e->session), "vm", text_or_null(e->vm), "data", e->data);
}
