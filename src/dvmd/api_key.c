/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/keys */
#include <errno.h>
#include <string.h>

#include "access.h"
#include "api_grant.h"
#include "api_handlers.h"
#include "cleanup.h"
#include "clock.h"
#include "events.h"
#include "view.h"

static json_t *key_json(const struct key_row *k)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o}", "id", k->id, "user",
			 k->user_name, "type", k->type, "fingerprint", k->fingerprint, "comment",
			 k->comment, "rights", rights_to_json(k->rights), "created",
			 view_time(k->created), "last_used", view_time(k->last_used));
}

void api_key_list(struct api_call *c)
{
	_cleanup_free_ struct key_row *rows = NULL;
	unsigned limit = (unsigned)c->query.limit;
	json_t *items;
	struct fault fault;
	size_t n = 0;

	if (store_key_list(c->d->store, access_admin(&c->who) ? NULL : c->who.user, limit,
			   c->query.after, &rows, &n, &fault) < 0) {
		api_fault(c, &fault);
		return;
	}
	items = json_array();
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(items, key_json(&rows[i]));
	}
	api_reply_take(c, 200, view_page(items, n == limit && n > 0 ? rows[n - 1].id : NULL));
}

/* ---- add */

static int check_quota(struct api_call *c, const struct user_row *user, struct fault *fault)
{
	_cleanup_free_ struct key_row *rows = NULL;
	size_t n = 0;
	int r = store_key_list(c->d->store, user->id, API_KEYS_PER_USER, NULL, &rows, &n, fault);

	if (r < 0 || n < API_KEYS_PER_USER) {
		return r;
	}
	fault_set(fault, FAULT_QUOTA, "This user has %zu keys, which is the most one can have", n);
	fault_hint(fault, "Remove those that are no longer used.");
	return api_refused(c, user->name, fault);
}

static int fill(struct key_row *row, const struct user_row *user, const char *line, unsigned rights,
		struct fault *fault)
{
	_cleanup_free_ char *id = random_id("k", 12);
	struct ssh_pubkey key;
	int r = ssh_pubkey_parse(line, &key, fault);

	if (r == -ENOMEM || !id) {
		return api_no_memory(fault);
	}
	if (r < 0) {
		return r;
	}
	strcpy(row->id, id);
	strcpy(row->user, user->id);
	strcpy(row->user_name, user->name);
	strcpy(row->type, key.type);
	strcpy(row->blob, key.text);
	strcpy(row->comment, key.comment);
	ssh_fingerprint(key.blob, key.blob_len, row->fingerprint);
	row->rights = rights;
	row->created = clock_realtime();
	return 0;
}

static int add(struct api_call *c, struct key_row *row, struct fault *fault)
{
	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
	const struct body_key_add *body = &c->body.key_add;
	struct user_row user;
	unsigned rights = 0;
	int r = api_grant_user(c, body->user, &user, fault);

	if (r == 0) {
		r = api_grant_rights(c, body->rights, &rights, fault);
	}
	if (r == 0) {
		r = fill(row, &user, body->key, rights, fault);
	}
	if (r == 0) {
		r = check_quota(c, &user, fault);
	}
	if (r == 0) {
		r = store_tx_begin(&tx, c->d->store, fault);
	}
	if (r == 0) {
		r = store_key_add(c->d->store, row, fault);
	}
	if (r == -EEXIST) {
		store_tx_end(&tx);
		fault_set(fault, FAULT_CONFLICT, "This key is there already");
		fault_hint(fault, "A key belongs to one user; use another one for each account.");
		return api_refused(c, row->fingerprint, fault);
	}
	if (r == 0) {
		r = audit_add(c->d->events, &c->who, NULL, NULL, c->route->action, row->id,
			      row->fingerprint, FAULT_NONE, fault);
	}
	return r < 0 ? r : store_tx_commit(&tx, fault);
}

void api_key_add(struct api_call *c)
{
	struct key_row row = { 0 };
	struct fault fault;

	if (add(c, &row, &fault) < 0) {
		api_fault(c, &fault);
		return;
	}
	events_committed(c->d->events);
	api_reply_take(c, 201, key_json(&row));
}

void api_key_made_again(struct api_call *c, const char *object)
{
	struct key_row row = { 0 };
	struct fault fault;
	int r = store_key_get(c->d->store, object, &row, &fault);

	if (r == -ENOENT) {
		r = fault_set(&fault, FAULT_NOT_FOUND, "The key no longer exists");
	}
	api_answer_take(c, 201, r, r < 0 ? NULL : key_json(&row), &fault);
}

/* ---- remove */

static int find_key(struct api_call *c, struct key_row *ret, struct fault *fault)
{
	int r = store_key_get(c->d->store, c->params[0], ret, fault);

	if (r == -ENOENT ||
	    (r == 0 && !access_admin(&c->who) && strcmp(ret->user, c->who.user) != 0)) {
		fault_set(fault, FAULT_NOT_FOUND, "There is no such key");
		return api_refused(c, c->params[0], fault);
	}
	return r;
}

static int remove_key(struct api_call *c, struct fault *fault)
{
	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
	struct key_row row;
	int r = find_key(c, &row, fault);

	if (r == 0) {
		r = store_tx_begin(&tx, c->d->store, fault);
	}
	if (r == 0) {
		r = store_key_remove(c->d->store, row.id, fault);
	}
	if (r == 0) {
		r = audit_add(c->d->events, &c->who, NULL, NULL, c->route->action, row.id,
			      row.fingerprint, FAULT_NONE, fault);
	}
	return r < 0 ? r : store_tx_commit(&tx, fault);
}

void api_key_remove(struct api_call *c)
{
	struct fault fault;

	if (remove_key(c, &fault) < 0) {
		api_fault(c, &fault);
		return;
	}
	events_committed(c->d->events);
	api_key_is_removed(c->api, c->params[0]);
	api_reply(c, 204, NULL);
}
