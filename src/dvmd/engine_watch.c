/* SPDX-License-Identifier: Apache-2.0 */
/* Attachments' rows, and requests that wait for one to become what it is to be. */
#include <errno.h>
#include <string.h>

#include "engine_internal.h"
#include "events.h"
#include "later.h"
#include "log.h"
#include "view.h"

#define WATCHES_MAX 1024

struct watch {
	struct list link;
	struct engine *e;
	char attachment[ID_MAX];
	ops_reply_fn fn;
	void *user;
	sd_event_source *deadline;
};

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
			fault_set(&fault, FAULT_NOT_FOUND, "The attachment is gone");
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
		fault_set(&fault, FAULT_QUOTA, "Too many requests wait for attachments");
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

void watches_free(struct engine *e)
{
	struct watch *w, *next;

	list_for_each_safe (w, next, &e->watches, link) {
		watch_free(w);
	}
}
