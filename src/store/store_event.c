/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of events and audit. */
#include "store_event.h"

#include <string.h>

#include "clock.h"
#include "store_driver.h"

void event_row_fini(struct event_row *e)
{
	json_decref(e->data);
	e->data = NULL;
}

struct event_row *event_rows_free(struct event_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		event_row_fini(&rows[i]);
	}
	free(rows);
	return NULL;
}

static int decode_number(const struct store_cursor *row, void *ret)
{
	*(uint64_t *)ret = (uint64_t)row_number(row, 0);
	return 0;
}

int store_event_add(struct store *s, const struct event_row *e, uint64_t *ret_seq,
		    struct fault *fault)
{
	_cleanup_free_ char *data = e->data ? store_json_text(e->data) : strdup("{}");

	if (!data) {
		return store_no_memory(fault);
	}
	return store_one(s, decode_number, ret_seq, fault,
			 "INSERT INTO events (time, type, session_id, vm_id, project_id, data) "
			 "VALUES ($1, $2, $3, $4, $5, $6) RETURNING seq",
			 NUMBER(e->time), TEXT(e->type), TEXT(e->session), TEXT(e->vm),
			 TEXT(e->project), TEXT(data));
}

static void fini_event(void *row)
{
	event_row_fini(row);
}

static int decode_event(const struct store_cursor *row, void *ret)
{
	struct event_row *e = ret;

	e->seq = (uint64_t)row_number(row, 0);
	e->time = (usec_t)row_number(row, 1);
	row_copy(row, 2, e->type);
	row_copy(row, 3, e->session);
	row_copy(row, 4, e->vm);
	row_copy(row, 5, e->project);
	row_copy(row, 6, e->project_name);
	e->data = row_json(row, 7);
	return e->data ? 0 : -ENOMEM;
}

int store_event_list(struct store *s, const struct event_filter *filter, unsigned limit,
		     uint64_t after, struct event_row **ret, size_t *ret_n, struct fault *fault)
{
	return store_many(s, decode_event, fini_event, sizeof(**ret), ret, ret_n, fault,
			  "SELECT e.seq, e.time, e.type, e.session_id, e.vm_id, e.project_id, "
			  "coalesce(p.name, ''), e.data FROM events e "
			  "LEFT JOIN projects p ON p.id = e.project_id WHERE e.seq > $1 "
			  "AND ($2 = '' OR (e.project_id <> '' AND $2 LIKE '%,' || e.project_id || "
			  "',%')) AND ($3 = '' OR e.session_id = $3) AND ($4 = '' OR e.vm_id = $4) "
			  "ORDER BY e.seq LIMIT $5",
			  NUMBER(after), TEXT(filter->projects ?: ""), TEXT(filter->session ?: ""),
			  TEXT(filter->vm ?: ""), NUMBER(page_limit(limit)));
}

int store_event_last(struct store *s, uint64_t *ret, struct fault *fault)
{
	return store_one_n(s, decode_number, ret, fault, "SELECT coalesce(max(seq), 0) FROM events",
			   NULL, 0);
}

int store_event_trim(struct store *s, uint64_t count, usec_t age, struct fault *fault)
{
	return store_change(s, false, fault,
			    "DELETE FROM events WHERE time < $2 OR "
			    "seq <= (SELECT coalesce(max(seq), 0) FROM events) - $1",
			    NUMBER(count), NUMBER(clock_realtime() - age));
}

int store_audit_add(struct store *s, const struct audit_row *a, struct fault *fault)
{
	return store_change(
		s, true, fault,
		"INSERT INTO audit (time, user_id, token_id, project_id, session_id, action, "
		"object, detail, outcome, request) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
		NUMBER(a->time), TEXT(a->user), TEXT(a->token), TEXT(a->project), TEXT(a->session),
		TEXT(a->action), TEXT(a->object), TEXT(a->detail), TEXT(a->outcome),
		TEXT(a->request));
}

static int decode_audit(const struct store_cursor *row, void *ret)
{
	struct audit_row *a = ret;

	a->seq = (uint64_t)row_number(row, 0);
	a->time = (usec_t)row_number(row, 1);
	row_copy(row, 2, a->user);
	row_copy(row, 3, a->user_name);
	row_copy(row, 4, a->token);
	row_copy(row, 5, a->project);
	row_copy(row, 6, a->project_name);
	row_copy(row, 7, a->session);
	row_copy(row, 8, a->action);
	row_copy(row, 9, a->object);
	row_copy(row, 10, a->detail);
	row_copy(row, 11, a->outcome);
	row_copy(row, 12, a->request);
	return 0;
}

int store_audit_list(struct store *s, const char *projects, const char *session, unsigned limit,
		     uint64_t after, struct audit_row **ret, size_t *ret_n, struct fault *fault)
{
	return store_many(s, decode_audit, NULL, sizeof(**ret), ret, ret_n, fault,
			  "SELECT a.seq, a.time, a.user_id, coalesce(u.name, ''), a.token_id, "
			  "a.project_id, coalesce(p.name, ''), a.session_id, a.action, a.object, "
			  "a.detail, a.outcome, a.request FROM audit a "
			  "LEFT JOIN users u ON u.id = a.user_id "
			  "LEFT JOIN projects p ON p.id = a.project_id WHERE a.seq > $1 "
			  "AND ($2 = '' OR (a.project_id <> '' AND $2 LIKE '%,' || a.project_id || "
			  "',%')) AND ($3 = '' OR a.session_id = $3) ORDER BY a.seq LIMIT $4",
			  NUMBER(after), TEXT(projects ?: ""), TEXT(session ?: ""),
			  NUMBER(page_limit(limit)));
}

int store_audit_trim(struct store *s, uint64_t count, usec_t age, struct fault *fault)
{
	return store_change(s, false, fault,
			    "DELETE FROM audit WHERE time < $2 OR "
			    "seq <= (SELECT coalesce(max(seq), 0) FROM audit) - $1",
			    NUMBER(count), NUMBER(clock_realtime() - age));
}
