/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases: one timer a session, for its warning or its expiry, whichever is next. It runs on
 * CLOCK_REALTIME, since the lease is a promise about the wall clock that also holds while dvmd is
 * away.
 */
#include <string.h>

#include "clock.h"
#include "engine_internal.h"
#include "events.h"
#include "log.h"
#include "session_lease.h"
#include "view.h"

#define LEASE_ACCURACY (100 * USEC_PER_MSEC)
#define LEASE_AGAIN (5 * USEC_PER_SEC) /* when the record cannot be written */
#define CONFIG_TIMEOUT (10 * USEC_PER_SEC)

static int on_lease(sd_event_source *source, uint64_t usec, void *user);

void lease_arm(struct run *run, const struct session_row *row)
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
		sd_event_source_set_time_relative(run->lease, LEASE_AGAIN);
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
