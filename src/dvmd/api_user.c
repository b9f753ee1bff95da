/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/users */
#include <errno.h>
#include <string.h>

#include "access.h"
#include "api_handlers.h"
#include "cleanup.h"
#include "clock.h"
#include "events.h"
#include "view.h"

static json_t *user_json(const struct user_row *u)
{
	return json_pack("{s:s, s:o, s:o}", "name", u->name, "rights", rights_to_json(u->rights),
			 "created", view_time(u->created));
}

void api_user_list(struct api_call *c)
{
	_cleanup_free_ struct user_row *rows = NULL;
	unsigned limit = (unsigned)c->query.limit;
	json_t *items;
	struct fault fault;
	size_t n = 0;
	int r = access_check_admin(c->d, &c->who, "user.list", &fault);

	if (r == 0) {
		r = store_user_list(c->d->store, limit, c->query.after, &rows, &n, &fault);
	}
	if (r < 0) {
		api_fault(c, &fault);
		return;
	}
	items = json_array();
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(items, user_json(&rows[i]));
	}
	api_reply_take(c, 200, view_page(items, n == limit && n > 0 ? rows[n - 1].id : NULL));
}

static int make(struct api_call *c, struct user_row *row, struct fault *fault)
{
	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
	_cleanup_free_ char *id = random_id("u", 12);
	int r = access_check_admin(c->d, &c->who, "user.create", fault);

	if (r < 0) {
		return r;
	}
	if (!id) {
		return api_no_memory(fault);
	}
	snprintf(row->id, sizeof(row->id), "%s", id);
	snprintf(row->name, sizeof(row->name), "%s", c->body.user_make.name);
	row->rights = c->body.user_make.rights;
	row->created = clock_realtime();
	if (row->rights & ~c->who.rights) {
		fault_set(fault, FAULT_FORBIDDEN,
			  "A user cannot be given rights that you do not have");
		return api_refused(c, row->name, fault);
	}
	r = store_tx_begin(&tx, c->d->store, fault);
	if (r == 0) {
		r = store_user_add(c->d->store, row, fault);
	}
	if (r == -EEXIST) {
		store_tx_end(&tx);
		fault_set(fault, FAULT_CONFLICT, "There is a user `%s` already", row->name);
		return api_refused(c, row->name, fault);
	}
	if (r == 0) {
		r = audit_add(c->d->events, &c->who, NULL, NULL, "user.create", row->id, row->name,
			      FAULT_NONE, fault);
	}
	return r < 0 ? r : store_tx_commit(&tx, fault);
}

void api_user_make(struct api_call *c)
{
	struct user_row row = { 0 };
	struct fault fault;

	if (make(c, &row, &fault) < 0) {
		api_fault(c, &fault);
		return;
	}
	events_committed(c->d->events);
	api_reply_take(c, 201, user_json(&row));
}

void api_user_made_again(struct api_call *c, const char *object)
{
	struct user_row row;
	struct fault fault;
	int r = store_user_get(c->d->store, object, &row, &fault);

	if (r == -ENOENT) {
		r = fault_set(&fault, FAULT_NOT_FOUND, "The user no longer exists");
	}
	api_answer_take(c, 201, r, r < 0 ? NULL : user_json(&row), &fault);
}
