/* SPDX-License-Identifier: Apache-2.0 */
/* What can be asked about sessions and done to them. */
#include "session_ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "cleanup.h"
#include "clock.h"
#include "engine.h"
#include "events.h"
#include "host_link.h"
#include "later.h"
#include "log.h"
#include "parse.h"
#include "session_lease.h"
#include "view.h"

/* It waits for the D-VM, which takes 15 s at most. */
#define STACK_TIMEOUT (30 * USEC_PER_SEC)

static int no_memory(struct fault *fault)
{
	return fault_set(fault, FAULT_INTERNAL, "Out of memory");
}

int session_list(struct dvmd *d, const struct principal *p, const char *project, bool live,
		 unsigned limit, const char *after, json_t **ret, struct fault *fault)
{
	_cleanup_free_ char *projects = NULL;
	struct session_filter filter = { .live = live };
	struct session_row *rows = NULL;
	json_t *items;
	size_t n = 0;
	int r;

	r = access_projects(d, p, project, "session.list", &projects, fault);
	if (r < 0) {
		return r;
	}
	filter.projects = projects;
	limit = limit && limit < STORE_PAGE_MAX ? limit : STORE_PAGE_MAX;
	r = store_session_list(d->store, &filter, limit, after, &rows, &n, fault);
	if (r < 0) {
		return r;
	}
	items = json_array();
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(items, view_session(d, &rows[i]));
	}
	*ret = view_page(items, n == limit ? rows[n - 1].id : NULL);
	session_rows_free(rows, n);
	return *ret ? 0 : no_memory(fault);
}

/* The states so far, out of the events. */
static json_t *timeline_of_states(struct dvmd *d, const char *session)
{
	struct event_filter filter = { .session = session };
	struct event_row *rows = NULL;
	json_t *list = json_array();
	size_t n = 0;

	if (store_event_list(d->store, &filter, STORE_PAGE_MAX, 0, &rows, &n, NULL) < 0) {
		return list;
	}
	for (size_t i = 0; i < n; i++) {
		const char *to = json_string_value(json_object_get(rows[i].data, "to"));

		if (to && strcmp(rows[i].type, "session.state") == 0) {
			json_array_append_new(list, json_pack("{s:s,s:o}", "state", to, "at",
							      view_time(rows[i].time)));
		}
	}
	event_rows_free(rows, n);
	return list;
}

int session_get(struct dvmd *d, const struct principal *p, const char *id, json_t **ret,
		struct fault *fault)
{
	struct session_row row;
	json_t *view;
	int r = access_session(d, p, id, RIGHT_VIEW, false, "session.get", &row, fault);

	if (r < 0) {
		return r;
	}
	view = view_session(d, &row);
	session_row_fini(&row);
	if (!view) {
		return no_memory(fault);
	}
	json_object_set_new(view, "timeline", timeline_of_states(d, id));
	*ret = view;
	return 0;
}

static const char *end_reason(const struct principal *p, const struct session_row *row)
{
	if (p->session[0]) {
		return "session";
	}
	return strcmp(p->user, row->owner) == 0 ? "user" : "administrator";
}

int session_end(struct dvmd *d, const struct principal *p, const char *id, json_t **ret,
		struct fault *fault)
{
	struct session_row row;
	int r = access_session(d, p, id, RIGHT_VIEW, true, "session.end", &row, fault);

	if (r < 0) {
		return r;
	}
	if (row.state < SESSION_DETACHING) {
		r = audit_add(d->events, p, row.project, id, "session.end", id, NULL, FAULT_NONE,
			      fault);
		if (r == 0) {
			r = engine_post(d->engine, id, SESSION_EV_END, NULL, end_reason(p, &row),
					fault);
		}
	}
	session_row_fini(&row);
	return r < 0 ? r : session_get(d, p, id, ret, fault);
}

/* For what needs a session that is not going away. */
static int check_alive(const struct session_row *row, struct fault *fault)
{
	if (row->state < SESSION_DETACHING) {
		return 0;
	}
	if (strcmp(row->end_reason, "lease-expired") == 0) {
		return fault_set(fault, FAULT_LEASE_EXPIRED, "The lease of session %s has run out",
				 row->id);
	}
	return fault_set(fault, FAULT_SESSION_ENDED, "Session %s has ended", row->id);
}

static int renew(struct dvmd *d, const struct principal *p, struct session_row *row, usec_t lease,
		 struct fault *fault)
{
	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
	usec_t now = clock_realtime();
	int r = check_alive(row, fault);

	if (r < 0) {
		return r;
	}
	if (lease) {
		row->lease_length = session_lease_grant(lease, 0, d->config.lease_max);
		row->lease_expires = now + row->lease_length;
	} else {
		row->lease_expires =
			session_lease_renewed(now, row->lease_expires, row->lease_length);
	}
	row->lease_warned = false;
	r = store_tx_begin(&tx, d->store, fault);
	if (r == 0) {
		r = store_session_update(d->store, row, fault);
	}
	if (r == 0) {
		r = events_add(d->events, "session.lease", row->id, NULL, row->project,
			       json_pack("{s:o}", "expires", view_time(row->lease_expires)), fault);
	}
	if (r == 0) {
		r = audit_add(d->events, p, row->project, row->id, "session.renew", row->id, NULL,
			      FAULT_NONE, fault);
	}
	if (r == 0) {
		r = store_tx_commit(&tx, fault);
	}
	if (r == 0) {
		events_committed(d->events);
		engine_lease_changed(d->engine, row->id);
	}
	return r;
}

int session_renew(struct dvmd *d, const struct principal *p, const char *id, usec_t lease,
		  json_t **ret, struct fault *fault)
{
	struct session_row row;
	int r = access_session(d, p, id, RIGHT_VIEW, true, "session.renew", &row, fault);

	if (r < 0) {
		return r;
	}
	r = renew(d, p, &row, lease, fault);
	session_row_fini(&row);
	return r < 0 ? r : session_get(d, p, id, ret, fault);
}

int session_timeline(struct dvmd *d, const struct principal *p, const char *id, unsigned limit,
		     uint64_t after, json_t **ret, struct fault *fault)
{
	struct event_filter filter = { .session = id };
	struct session_row row;
	struct event_row *rows = NULL;
	json_t *items;
	size_t n = 0;
	int r = access_session(d, p, id, RIGHT_VIEW, false, "session.timeline", &row, fault);

	if (r < 0) {
		return r;
	}
	session_row_fini(&row);
	limit = limit && limit < STORE_PAGE_MAX ? limit : STORE_PAGE_MAX;
	r = store_event_list(d->store, &filter, limit, after, &rows, &n, fault);
	if (r < 0) {
		return r;
	}
	items = json_array();
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(items, event_to_json(&rows[i]));
	}
	*ret = json_pack("{s:o,s:o}", "items", items, "next",
			 n == limit ? json_integer((json_int_t)rows[n - 1].seq) : json_null());
	event_rows_free(rows, n);
	return *ret ? 0 : no_memory(fault);
}

/* ---- attachments */

static bool attachment_live(const struct attachment_row *a)
{
	return a->state != ATTACHMENT_GONE;
}

/* Which of its targets: by id or name; NULL: the first. */
static int find_target(struct dvmd *d, const char *session, const char *ref, char ret_vm[ID_MAX],
		       struct fault *fault)
{
	struct target_row targets[SESSION_TARGETS_MAX];
	size_t n = 0;
	int r = store_target_list(d->store, session, targets, &n, fault);

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (!ref || strcmp(ref, targets[i].vm) == 0 || strcmp(ref, targets[i].name) == 0) {
			strcpy(ret_vm, targets[i].vm);
			return 0;
		}
	}
	return r < 0 ? r
		     : fault_set(fault, FAULT_NOT_FOUND, "The session has no target \"%.64s\"",
				 ref ?: "");
}

static int count_live(struct dvmd *d, const char *session, const char *vm,
		      enum attachment_kind kind, struct attachment_row *ret_same, bool *ret_found,
		      struct fault *fault)
{
	struct attachment_row *rows = NULL;
	size_t n = 0, live = 0;
	int r = store_attachment_list(d->store, session, &rows, &n, fault);

	*ret_found = false;
	if (r < 0) {
		return r;
	}
	for (size_t i = 0; i < n; i++) {
		live += attachment_live(&rows[i]);
		if (attachment_live(&rows[i]) && rows[i].kind == kind &&
		    strcmp(rows[i].vm, vm) == 0) {
			*ret_same = rows[i];
			ret_same->devices = NULL;
			*ret_found = true;
		}
	}
	attachment_rows_free(rows, n);
	if (!*ret_found && (live >= SESSION_ATTACHMENTS_MAX || n >= SESSION_ATTACHMENTS_EVER)) {
		return fault_set(fault, FAULT_QUOTA, "The session has had %zu attachments", n);
	}
	return 0;
}

static int record_attachment(struct dvmd *d, const struct principal *p,
			     const struct session_row *session, const struct attachment_row *a,
			     bool add, const char *action, struct fault *fault)
{
	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
	int r = store_tx_begin(&tx, d->store, fault);

	if (r == 0) {
		r = add ? store_attachment_add(d->store, a, fault)
			: store_attachment_update(d->store, a, fault);
	}
	if (r == 0) {
		r = events_add(d->events, "attachment.state", session->id, a->vm, session->project,
			       view_attachment(a), fault);
	}
	if (r == 0) {
		r = audit_add(d->events, p, session->project, session->id, action, a->vm,
			      attachment_kind_name(a->kind), FAULT_NONE, fault);
	}
	if (r == 0) {
		r = store_tx_commit(&tx, fault);
	}
	if (r == 0) {
		events_committed(d->events);
	}
	return r;
}

const char *session_port_mode(enum attachment_kind kind, const char *mode, unsigned rights)
{
	if (!attachment_is_serial(kind)) {
		return "ro"; /* a printer answers nothing, and memory is looked at */
	}
	return mode ? mode : rights & RIGHT_TYPE ? "rw" : "ro";
}

unsigned session_device_rights(enum attachment_kind kind, const char *mode)
{
	return kind == ATTACHMENT_MEMORY ? RIGHT_VIEW | RIGHT_MEMORY
	       : strcmp(mode, "rw") == 0 ? RIGHT_VIEW | RIGHT_TYPE
					 : RIGHT_VIEW;
}

static int count_serials(struct dvmd *d, const char *session, struct fault *fault)
{
	struct attachment_row *rows = NULL;
	size_t n = 0, serials = 0;
	int r = store_attachment_list(d->store, session, &rows, &n, fault);

	for (size_t i = 0; r == 0 && i < n; i++) {
		serials += attachment_live(&rows[i]) && attachment_is_serial(rows[i].kind);
	}
	attachment_rows_free(rows, n);
	if (r == 0 && serials >= SESSION_SERIALS_MAX) {
		r = fault_set(fault, FAULT_QUOTA, "The D-VM has room for %d serial ports",
			      SESSION_SERIALS_MAX);
	}
	return r;
}

/* *ret_id: the attachment to wait for. */
static int want_device(struct dvmd *d, const struct principal *p, const struct session_row *session,
		       const struct attach_spec *spec, char ret_id[ID_MAX], struct fault *fault)
{
	struct attachment_row a = { .kind = spec->kind,
				    .state = ATTACHMENT_WANTED,
				    .created = clock_realtime() };
	const char *name = attachment_kind_name(spec->kind);
	const char *mode =
		session_port_mode(spec->kind, spec->mode, principal_rights(p, session->project));
	unsigned rights = session_device_rights(spec->kind, mode);
	_cleanup_free_ char *id = random_id("a", 12);
	struct attachment_row same;
	char target[ID_MAX];
	struct vm_row vm;
	bool found = false;
	int r = find_target(d, session->id, spec->target, target, fault);

	if (r == 0) {
		r = access_vm(d, p, target, rights, "session.attach", &vm, fault);
	}
	if (r == 0) {
		r = count_live(d, session->id, target, spec->kind, &same, &found, fault);
	}
	if (r < 0) {
		return r;
	}
	if (found && same.state == ATTACHMENT_DETACHING) {
		return fault_set(fault, FAULT_CONFLICT, "%s is being detached", name);
	}
	if (found && strcmp(same.mode, mode) != 0) {
		return fault_set(fault, FAULT_ALREADY_ATTACHED, "%s is attached already, as \"%s\"",
				 name, same.mode);
	}
	if (found) {
		strcpy(ret_id, same.id);
		return 0;
	}
	if (attachment_is_serial(spec->kind)) {
		r = count_serials(d, session->id, fault);
	}
	if (r < 0 || !id) {
		return r < 0 ? r : no_memory(fault);
	}
	strcpy(a.id, id);
	strcpy(a.session, session->id);
	strcpy(a.vm, vm.id);
	strcpy(a.mode, mode);
	strcpy(ret_id, id);
	return record_attachment(d, p, session, &a, true, "session.attach", fault);
}

/* *ret_id: the attachment to wait for. */
static int want_disk(struct dvmd *d, const struct principal *p, const struct session_row *session,
		     const struct attach_spec *spec, char ret_id[ID_MAX], struct fault *fault)
{
	struct attachment_row a = { .kind = ATTACHMENT_DISK,
				    .state = ATTACHMENT_WANTED,
				    .created = clock_realtime() };
	_cleanup_free_ char *id = random_id("a", 12);
	struct attachment_row same;
	char target[ID_MAX];
	struct vm_row vm;
	const char *mode = spec->mode;
	unsigned rights;
	bool found = false;
	int r = find_target(d, session->id, spec->target, target, fault);

	if (r < 0) {
		return r;
	}
	if (!mode) {
		rights = principal_rights(p, session->project);
		mode = rights & RIGHT_DISK_WRITE ? "rw" : "ro";
	}
	rights = strcmp(mode, "rw") == 0 ? RIGHT_DISK_READ | RIGHT_DISK_WRITE : RIGHT_DISK_READ;
	r = access_vm(d, p, target, rights, "session.attach", &vm, fault);
	if (r == 0) {
		r = count_live(d, session->id, target, ATTACHMENT_DISK, &same, &found, fault);
	}
	if (r < 0) {
		return r;
	}
	if (found) {
		if (same.state == ATTACHMENT_DETACHING) {
			return fault_set(fault, FAULT_CONFLICT, "The disks are being detached");
		}
		if (strcmp(same.mode, mode) != 0) {
			return fault_set(fault, FAULT_ALREADY_ATTACHED,
					 "The disks are attached already, as \"%s\"", same.mode);
		}
		strcpy(ret_id, same.id);
		return 0;
	}
	if (vm.state != VM_OFF) {
		return fault_set(fault, FAULT_VM_RUNNING, "VM %s is not off", vm.name);
	}
	if (!id) {
		return no_memory(fault);
	}
	strcpy(a.id, id);
	strcpy(a.session, session->id);
	strcpy(a.vm, vm.id);
	strcpy(a.mode, mode);
	strcpy(ret_id, id);
	return record_attachment(d, p, session, &a, true, "session.attach", fault);
}

static int check_ready(const struct session_row *row, struct fault *fault)
{
	int r = check_alive(row, fault);

	if (r == 0 && row->state != SESSION_READY && row->state != SESSION_ATTACHING) {
		return fault_set(fault, FAULT_SESSION_NOT_READY, "Session %s is %s", row->id,
				 session_state_name(row->state));
	}
	return r;
}

struct stack_request {
	struct dvmd *d;
	struct principal who;
	char session[ID_MAX], stack[ID_MAX];
	ops_reply_fn fn;
	void *user;
};

static bool has_stack(const struct session_row *row, const char *stack)
{
	const json_t *name;
	size_t i;

	json_array_foreach(row->stacks, i, name)
	{
		if (strcmp(json_string_value(name), stack) == 0) {
			return true;
		}
	}
	return false;
}

static int record_stack(struct stack_request *q, struct session_row *row, struct fault *fault)
{
	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
	struct dvmd *d = q->d;
	_cleanup_free_ char *detail = strf("Stack %s was added", q->stack);
	int r;

	if (!detail || json_array_append_new(row->stacks, json_string(q->stack)) < 0) {
		return no_memory(fault);
	}
	r = store_tx_begin(&tx, d->store, fault);
	if (r == 0) {
		r = store_session_update(d->store, row, fault);
	}
	if (r == 0) {
		r = events_add(d->events, "session.progress", row->id, NULL, row->project,
			       json_pack("{s:s,s:s}", "step", "stack", "detail", detail), fault);
	}
	if (r == 0) {
		r = audit_add(d->events, &q->who, row->project, row->id, "session.stack", row->id,
			      q->stack, FAULT_NONE, fault);
	}
	if (r == 0) {
		r = store_tx_commit(&tx, fault);
	}
	if (r == 0) {
		events_committed(d->events);
	}
	return r;
}

static void stack_added(const json_t *result, const struct fault *refused, void *user)
{
	struct stack_request *q = user;
	_cleanup_(json_decrefp) json_t *view = NULL;
	struct session_row row;
	struct fault fault;
	int r = refused ? -EREMOTEIO : store_session_get(q->d->store, q->session, &row, &fault);

	if (r == 0) {
		r = check_alive(&row, &fault);
		if (r == 0 && !has_stack(&row, q->stack)) {
			r = record_stack(q, &row, &fault);
		}
		session_row_fini(&row);
	}
	if (r == 0) {
		r = session_get(q->d, &q->who, q->session, &view, &fault);
	}
	q->fn(view, r == 0 ? NULL : refused ? refused : &fault, q->user);
	free(q);
}

static int stack_ask(struct stack_request *q, struct session_row *row, struct fault *fault)
{
	struct dvmd *d = q->d;
	json_t *agent;

	if (json_array_size(row->stacks) >= SESSION_STACKS_MAX && !has_stack(row, q->stack)) {
		return fault_set(fault, FAULT_QUOTA, "A session has at most %d stacks",
				 SESSION_STACKS_MAX);
	}
	if (!has_stack(row, q->stack)) {
		json_array_append_new(row->stacks, json_string(q->stack));
	}
	agent = agent_config(d, row);
	host_link_call(d->host, "dvm.stack",
		       json_pack("{s:s,s:s,s:o}", "session", q->session, "stack", q->stack, "agent",
				 agent),
		       STACK_TIMEOUT, stack_added, q);
	return 0;
}

void session_stack_add(struct dvmd *d, const struct principal *p, const char *id, const char *stack,
		       ops_reply_fn fn, void *user)
{
	struct stack_request *q = calloc(1, sizeof(*q));
	struct session_row row;
	struct fault fault;
	int r = q ? access_session(d, p, id, RIGHT_VIEW | RIGHT_DEBUG, true, "session.stack", &row,
				   &fault)
		  : no_memory(&fault);

	if (r == 0) {
		*q = (struct stack_request){ .d = d, .who = *p, .fn = fn, .user = user };
		snprintf(q->session, sizeof(q->session), "%s", row.id);
		snprintf(q->stack, sizeof(q->stack), "%s", stack);
		r = check_ready(&row, &fault);
		if (r == 0) {
			r = stack_ask(q, &row, &fault);
		}
		session_row_fini(&row);
	}
	if (r < 0) {
		free(q);
		later_fault(d->event, &fault, fn, user);
	}
}

void session_attach(struct dvmd *d, const struct principal *p, const char *id,
		    const struct attach_spec *spec, ops_reply_fn fn, void *user)
{
	struct session_row row;
	struct fault fault;
	char attachment[ID_MAX];
	int r = access_session(d, p, id, RIGHT_VIEW | RIGHT_DEBUG, true, "session.attach", &row,
			       &fault);

	if (r < 0) {
		later_fault(d->event, &fault, fn, user);
		return;
	}
	r = check_ready(&row, &fault);
	if (r == 0 && !attachment_is_wished(spec->kind)) {
		r = fault_set(&fault, FAULT_NOT_SUPPORTED,
			      "Consoles, displays and debuggers are attached as long as the "
			      "session is there");
	}
	if (r == 0 && spec->mode && strcmp(spec->mode, "ro") != 0 &&
	    strcmp(spec->mode, "rw") != 0) {
		r = fault_set(&fault, FAULT_BAD_VALUE, "mode must be ro or rw");
	}
	if (r == 0) {
		r = spec->kind == ATTACHMENT_DISK
			    ? want_disk(d, p, &row, spec, attachment, &fault)
			    : want_device(d, p, &row, spec, attachment, &fault);
	}
	if (r == 0) {
		r = engine_post(d->engine, id, SESSION_EV_WISHED, NULL, NULL, &fault);
	}
	session_row_fini(&row);
	if (r < 0) {
		later_fault(d->event, &fault, fn, user);
		return;
	}
	engine_used(d->engine, id);
	engine_watch(d->engine, attachment, fn, user);
}

static int unwish(struct dvmd *d, const struct principal *p, const struct session_row *session,
		  const char *attachment, struct fault *fault)
{
	struct attachment_row a;
	int r = store_attachment_get(d->store, attachment, &a, fault);

	if (r == -ENOENT || (r == 0 && strcmp(a.session, session->id) != 0)) {
		if (r == 0) {
			attachment_row_fini(&a);
		}
		return fault_set(fault, FAULT_NOT_FOUND, "The session has no attachment \"%.64s\"",
				 attachment);
	}
	if (r < 0) {
		return r;
	}
	if (!attachment_is_wished(a.kind)) {
		r = fault_set(fault, FAULT_NOT_SUPPORTED,
			      "Consoles, displays and debuggers are attached as long as the "
			      "session is there");
	} else if (a.state == ATTACHMENT_WANTED || a.state == ATTACHMENT_ATTACHED) {
		a.state = ATTACHMENT_DETACHING;
		r = record_attachment(d, p, session, &a, false, "session.detach", fault);
	}
	attachment_row_fini(&a);
	return r;
}

void session_detach(struct dvmd *d, const struct principal *p, const char *id,
		    const char *attachment, ops_reply_fn fn, void *user)
{
	struct session_row row;
	struct fault fault;
	int r = access_session(d, p, id, RIGHT_VIEW, true, "session.detach", &row, &fault);

	if (r < 0) {
		later_fault(d->event, &fault, fn, user);
		return;
	}
	r = check_ready(&row, &fault);
	if (r == 0) {
		r = unwish(d, p, &row, attachment, &fault);
	}
	if (r == 0) {
		r = engine_post(d->engine, id, SESSION_EV_WISHED, NULL, NULL, &fault);
	}
	session_row_fini(&row);
	if (r < 0) {
		later_fault(d->event, &fault, fn, user);
		return;
	}
	engine_used(d->engine, id);
	engine_watch(d->engine, attachment, fn, user);
}
