/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/projects and their members */
#include <errno.h>
#include <string.h>

#include "access.h"
#include "api_handlers.h"
#include "cleanup.h"
#include "clock.h"
#include "events.h"
#include "view.h"

#define MEMBERS_MAX STORE_PAGE_MAX

static json_t *project_json(const struct principal *p, const struct project_row *row)
{
	return json_pack("{s:s, s:o, s:o}", "name", row->name, "rights",
			 rights_to_json(principal_rights(p, row->id)), "created",
			 view_time(row->created));
}

static json_t *member_json(const char *project, const char *user, unsigned rights)
{
	return json_pack("{s:s, s:s, s:o}", "project", project, "user", user, "rights",
			 rights_to_json(rights));
}

/* Those of the principal, all at once: he has PRINCIPAL_PROJECTS_MAX at most. */
static int own_projects(struct api_call *c, json_t *items, struct fault *fault)
{
	struct project_row row;

	for (size_t i = 0; i < c->who.n_projects; i++) {
		int r = store_project_get(c->d->store, c->who.projects[i].id, &row, fault);

		if (r == -ENOENT) {
			continue;
		}
		if (r < 0) {
			return r;
		}
		json_array_append_new(items, project_json(&c->who, &row));
	}
	return 0;
}

static int all_projects(struct api_call *c, json_t *items, char ret_next[ID_MAX],
			struct fault *fault)
{
	_cleanup_free_ struct project_row *rows = NULL;
	unsigned limit = (unsigned)c->query.limit;
	size_t n = 0;
	int r = store_project_list(c->d->store, limit, c->query.after, &rows, &n, fault);

	if (r < 0) {
		return r;
	}
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(items, project_json(&c->who, &rows[i]));
	}
	if (n == limit && n > 0) {
		strcpy(ret_next, rows[n - 1].id);
	}
	return 0;
}

void api_project_list(struct api_call *c)
{
	_cleanup_(json_decrefp) json_t *items = json_array();
	char next[ID_MAX] = "";
	struct fault fault;
	int r;

	/* Rights in every project: every project is his. */
	r = c->who.rights ? all_projects(c, items, next, &fault) : own_projects(c, items, &fault);
	if (r < 0) {
		api_fault(c, &fault);
		return;
	}
	api_reply_take(c, 200, view_page(TAKE_PTR(items), next[0] ? next : NULL));
}

static int make(struct api_call *c, struct project_row *row, struct fault *fault)
{
	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
	_cleanup_free_ char *id = random_id("p", 12);
	int r = access_check_admin(c->d, &c->who, "project.create", fault);

	if (r < 0) {
		return r;
	}
	if (!id) {
		return api_no_memory(fault);
	}
	snprintf(row->id, sizeof(row->id), "%s", id);
	snprintf(row->name, sizeof(row->name), "%s", c->body.project_make.name);
	row->created = clock_realtime();
	r = store_tx_begin(&tx, c->d->store, fault);
	if (r == 0) {
		r = store_project_add(c->d->store, row, fault);
	}
	if (r == -EEXIST) {
		store_tx_end(&tx);
		fault_set(fault, FAULT_CONFLICT, "There is a project `%s` already", row->name);
		return api_refused(c, row->name, fault);
	}
	if (r == 0) {
		r = audit_add(c->d->events, &c->who, row->id, NULL, "project.create", row->id,
			      row->name, FAULT_NONE, fault);
	}
	return r < 0 ? r : store_tx_commit(&tx, fault);
}

void api_project_make(struct api_call *c)
{
	struct project_row row = { 0 };
	struct fault fault;

	if (make(c, &row, &fault) < 0) {
		api_fault(c, &fault);
		return;
	}
	events_committed(c->d->events);
	api_reply_take(c, 201, project_json(&c->who, &row));
}

void api_project_made_again(struct api_call *c, const char *object)
{
	struct project_row row;
	struct fault fault;
	int r = store_project_get(c->d->store, object, &row, &fault);

	if (r == -ENOENT) {
		r = fault_set(&fault, FAULT_NOT_FOUND, "The project no longer exists");
	}
	api_answer_take(c, 201, r, r < 0 ? NULL : project_json(&c->who, &row), &fault);
}

/* ---- members */

void api_member_list(struct api_call *c)
{
	_cleanup_free_ struct member_row *rows = NULL;
	struct project_row project;
	json_t *items;
	struct fault fault;
	size_t n = 0;
	int r = access_project(c->d, &c->who, c->params[0], RIGHT_VIEW, "member.list", &project,
			       &fault);

	if (r == 0) {
		r = store_member_list(c->d->store, NULL, project.id, MEMBERS_MAX, &rows, &n,
				      &fault);
	}
	if (r < 0) {
		api_fault(c, &fault);
		return;
	}
	items = json_array();
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(items,
				      member_json(project.name, rows[i].user_name, rows[i].rights));
	}
	api_reply_take(c, 200, json_pack("{s:o}", "items", items));
}

static int set_member(struct api_call *c, struct project_row *project, struct user_row *user,
		      struct fault *fault)
{
	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
	struct member_row row = { .rights = c->body.member_set.rights };
	int r = access_project(c->d, &c->who, c->params[0], RIGHT_ADMIN, "member.set", project,
			       fault);

	if (r < 0) {
		return r;
	}
	if (row.rights & ~principal_rights(&c->who, project->id)) {
		fault_set(fault, FAULT_FORBIDDEN,
			  "A member cannot be given rights that you do not have");
		return api_refused(c, project->id, fault);
	}
	r = store_user_get(c->d->store, c->params[1], user, fault);
	if (r == -ENOENT) {
		fault_set(fault, FAULT_NOT_FOUND, "There is no such user");
		return api_refused(c, project->id, fault);
	}
	strcpy(row.project, project->id);
	strcpy(row.user, user->id);
	if (r == 0) {
		r = store_tx_begin(&tx, c->d->store, fault);
	}
	if (r == 0) {
		r = store_member_set(c->d->store, &row, fault);
	}
	if (r == 0) {
		r = audit_add(c->d->events, &c->who, project->id, NULL, "member.set", user->id,
			      user->name, FAULT_NONE, fault);
	}
	return r < 0 ? r : store_tx_commit(&tx, fault);
}

void api_member_set(struct api_call *c)
{
	struct project_row project;
	struct user_row user;
	struct fault fault;

	if (set_member(c, &project, &user, &fault) < 0) {
		api_fault(c, &fault);
		return;
	}
	events_committed(c->d->events);
	api_reply_take(c, 200, member_json(project.name, user.name, c->body.member_set.rights));
}
