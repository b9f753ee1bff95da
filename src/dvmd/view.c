/* SPDX-License-Identifier: Apache-2.0 */
/* Rows as JSON. */
#include "view.h"

#include <string.h>

#include "api_fields.h"
#include "clock.h"
#include "debuggers.h"

/* What cannot be packed for want of memory makes the whole NULL: jansson's "o" does so for NULL. */

json_t *view_time(usec_t realtime)
{
	char text[32];

	if (realtime == 0) {
		return json_null();
	}
	clock_format(realtime, text);
	return json_string(text);
}

json_t *view_page(json_t *items, const char *last_id)
{
	return json_pack("{s:o,s:o}", "items", items, "next",
			 last_id ? json_string(last_id) : json_null());
}

static json_t *text_or_null(const char *text)
{
	return *text ? json_string(text) : json_null();
}

json_t *view_fault(const struct fault *f)
{
	if (f->code == FAULT_NONE) {
		return json_null();
	}
	return json_pack("{s:s,s:s,s:s}", "code", fault_code_name(f->code), "message", f->message,
			 "hint", f->hint[0] ? f->hint : fault_code_hint(f->code));
}

static json_t *view_project(struct dvmd *d, const char *id)
{
	struct project_row project;

	return store_project_get(d->store, id, &project, NULL) == 0 ? json_string(project.name)
								    : json_string(id);
}

static json_t *view_user(struct dvmd *d, const char *id)
{
	struct user_row user;

	return store_user_get(d->store, id, &user, NULL) == 0 ? json_string(user.name)
							      : json_string(id);
}

json_t *view_vm(struct dvmd *d, const struct vm_row *vm, const char *session)
{
	return json_pack("{s:s,s:s,s:o,s:s,s:o,s:o,s:b,s:o,s:s,s:o,s:b}", "id", vm->id, "name",
			 vm->name, "project", view_project(d, vm->project), "state",
			 vm_state_name(vm->state), "state_at", view_time(vm->state_at), "session",
			 text_or_null(session), "fenced", vm->fence[0] != '\0', "created",
			 view_time(vm->created), "console_history",
			 api_console_history[vm->no_history], "debugger", debugger_view(d, vm->id),
			 "hold", vm->hold);
}

json_t *view_attachment(const struct attachment_row *a)
{
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:o,s:o,s:o}", "id", a->id, "vm", a->vm, "kind",
			 attachment_kind_name(a->kind), "mode", a->mode, "state",
			 attachment_state_name(a->state), "devices",
			 json_is_array(a->devices) ? json_incref(a->devices) : json_array(),
			 "created", view_time(a->created), "fault", view_fault(&a->fault));
}

static json_t *view_targets(struct dvmd *d, const char *session)
{
	struct target_row targets[SESSION_TARGETS_MAX];
	json_t *list = json_array();
	size_t n = 0;

	if (store_target_list(d->store, session, targets, &n, NULL) < 0) {
		return list;
	}
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(
			list, json_pack("{s:s,s:s}", "vm", targets[i].vm, "name", targets[i].name));
	}
	return list;
}

static json_t *view_attachments(struct dvmd *d, const char *session)
{
	struct attachment_row *rows = NULL;
	json_t *list = json_array();
	size_t n = 0;

	if (store_attachment_list(d->store, session, &rows, &n, NULL) < 0) {
		return list;
	}
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(list, view_attachment(&rows[i]));
	}
	attachment_rows_free(rows, n);
	return list;
}

json_t *view_session(struct dvmd *d, const struct session_row *s)
{
	char address[ID_MAX + 4];

	snprintf(address, sizeof(address), "%s.dvm", s->id);
	return json_pack(
		"{s:s,s:s,s:o,s:s,s:o,s:o,s:o,s:O,s:o,s:s,s:o,s:I,s:o,s:o,s:o,s:o,s:o,s:o,"
		"s:o}",
		"id", s->id, "state", session_state_name(s->state), "state_at",
		view_time(s->state_at), "address", address, "owner", view_user(d, s->owner),
		"project", view_project(d, s->project), "targets", view_targets(d, s->id), "stacks",
		s->stacks, "image", text_or_null(s->image), "placement", s->placement, "host_key",
		text_or_null(s->host_key), "lease_s", (json_int_t)(s->lease_length / USEC_PER_SEC),
		"lease_expires", view_time(s->lease_expires), "created", view_time(s->created),
		"ready_at", view_time(s->ready_at), "ended", view_time(s->ended), "end_reason",
		text_or_null(s->end_reason), "fault", view_fault(&s->fault), "attachments",
		view_attachments(d, s->id));
}
