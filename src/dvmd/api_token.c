/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/tokens */
#include <errno.h>
#include <string.h>

#include "access.h"
#include "api_grant.h"
#include "api_handlers.h"
#include "cleanup.h"
#include "clock.h"
#include "events.h"
#include "view.h"

#define TOKENS_PER_USER 100

static json_t *token_json(const struct token_row *t)
{
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "id", t->id, "name", t->name,
			 "user", t->user_name, "rights", rights_to_json(t->rights), "created",
			 view_time(t->created), "expires", view_time(t->expires), "last_used",
			 view_time(t->last_used));
}

void api_token_list(struct api_call *c)
{
	_cleanup_free_ struct token_row *rows = NULL;
	unsigned limit = (unsigned)c->query.limit;
	json_t *items;
	struct fault fault;
	size_t n = 0;

	if (store_token_list(c->d->store, access_admin(&c->who) ? NULL : c->who.user, limit,
			     c->query.after, &rows, &n, &fault) < 0) {
		api_fault(c, &fault);
		return;
	}
	items = json_array();
	for (size_t i = 0; i < n; i++) {
		if (!rows[i].revoked) {
			json_array_append_new(items, token_json(&rows[i]));
		}
	}
	api_reply_take(c, 200, view_page(items, n == limit && n > 0 ? rows[n - 1].id : NULL));
}

/* ---- make */

static int check_quota(struct api_call *c, const struct user_row *user, struct fault *fault)
{
	_cleanup_free_ struct token_row *rows = NULL;
	usec_t now = clock_realtime();
	size_t n = 0, live = 0;
	int r = store_token_list(c->d->store, user->id, STORE_PAGE_MAX, NULL, &rows, &n, fault);

	if (r < 0) {
		return r;
	}
	for (size_t i = 0; i < n; i++) {
		live += !rows[i].revoked && (rows[i].expires == 0 || rows[i].expires > now);
	}
	if (live < TOKENS_PER_USER && n < STORE_PAGE_MAX) {
		return 0;
	}
	fault_set(fault, FAULT_QUOTA, "This user has %zu tokens, which is the most one can have",
		  live);
	fault_hint(fault, "Revoke those that are no longer used.");
	return api_refused(c, user->name, fault);
}

static int make(struct api_call *c, struct token_row *ret_row, char token[LOCAL_TOKEN_MAX],
		struct fault *fault)
{
	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
	const struct body_token_make *body = &c->body.token_make;
	usec_t expires =
		body->ttl_s > 0 ? clock_realtime() + (usec_t)body->ttl_s * USEC_PER_SEC : 0;
	struct user_row user;
	unsigned rights = 0;
	int r = api_grant_user(c, body->user, &user, fault);

	if (r == 0) {
		r = api_grant_rights(c, body->rights, &rights, fault);
	}
	if (r == 0) {
		r = check_quota(c, &user, fault);
	}
	if (r == 0) {
		r = store_tx_begin(&tx, c->d->store, fault);
	}
	if (r == 0) {
		r = local_token_create(c->d->store, user.id, body->name ? body->name : "token",
				       rights, expires, ret_row, token, fault);
	}
	if (r == 0) {
		r = audit_add(c->d->events, &c->who, NULL, NULL, "token.create", ret_row->id,
			      user.name, FAULT_NONE, fault);
	}
	if (r < 0) {
		return r;
	}
	strcpy(ret_row->user_name, user.name);
	return store_tx_commit(&tx, fault);
}

void api_token_make(struct api_call *c)
{
	char token[LOCAL_TOKEN_MAX];
	struct token_row row;
	struct fault fault;
	json_t *answer;

	if (make(c, &row, token, &fault) < 0) {
		api_fault(c, &fault);
		return;
	}
	events_committed(c->d->events);
	answer = token_json(&row);
	if (answer) {
		json_object_set_new(answer, "token", json_string(token));
	}
	explicit_bzero(token, sizeof(token));
	api_reply_take(c, 201, answer);
}

/* ---- revoke */

static int find_token(struct api_call *c, struct token_row *ret, struct fault *fault)
{
	int r = store_token_get(c->d->store, c->params[0], ret, fault);

	if (r == -ENOENT || (r == 0 && (ret->revoked || (!access_admin(&c->who) &&
							 strcmp(ret->user, c->who.user) != 0)))) {
		fault_set(fault, FAULT_NOT_FOUND, "There is no such token");
		return api_refused(c, c->params[0], fault);
	}
	return r;
}

static int revoke_token(struct api_call *c, struct fault *fault)
{
	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
	struct token_row row;
	int r = find_token(c, &row, fault);

	if (r == 0) {
		r = store_tx_begin(&tx, c->d->store, fault);
	}
	if (r == 0) {
		row.revoked = true;
		r = store_token_update(c->d->store, &row, fault);
	}
	if (r == 0) {
		r = audit_add(c->d->events, &c->who, NULL, NULL, "token.revoke", row.id,
			      row.user_name, FAULT_NONE, fault);
	}
	return r < 0 ? r : store_tx_commit(&tx, fault);
}

void api_token_revoke(struct api_call *c)
{
	struct fault fault;

	if (revoke_token(c, &fault) < 0) {
		api_fault(c, &fault);
		return;
	}
	events_committed(c->d->events);
	api_reply(c, 204, NULL);
}
