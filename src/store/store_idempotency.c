/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of remembered answers. */
#include "store_idempotency.h"

#include <string.h>

#include "clock.h"
#include "store_driver.h"

void idempotency_row_fini(struct idempotency_row *row)
{
	free(row->body);
	row->body = NULL;
}

int store_idempotency_begin(struct store *s, const struct idempotency_row *row, struct fault *fault)
{
	int r = store_change(s, false, fault, "DELETE FROM idempotency WHERE expires <= $1",
			     NUMBER(clock_realtime()));

	if (r < 0) {
		return r;
	}
	return store_change(
		s, true, fault,
		"INSERT INTO idempotency (user_id, key, request_hash, status, body, expires) "
		"VALUES ($1, $2, $3, 0, '', $4)",
		TEXT(row->user), TEXT(row->key), TEXT(row->request_hash), NUMBER(row->expires));
}

static int decode(const struct store_cursor *row, void *ret)
{
	struct idempotency_row *i = ret;

	row_copy(row, 0, i->user);
	row_copy(row, 1, i->key);
	row_copy(row, 2, i->request_hash);
	i->status = (int)row_number(row, 3);
	i->expires = (usec_t)row_number(row, 5);
	row_copy(row, 6, i->object);
	if (i->status > 0) {
		i->body = strdup(row_text(row, 4));
		return i->body ? 0 : -ENOMEM;
	}
	return 0;
}

int store_idempotency_get(struct store *s, const char *user, const char *key,
			  struct idempotency_row *ret, struct fault *fault)
{
	struct idempotency_row row = { 0 };
	int r = store_one(
		s, decode, &row, fault,
		"SELECT user_id, key, request_hash, status, body, expires, object FROM idempotency "
		"WHERE user_id = $1 AND key = $2",
		TEXT(user), TEXT(key));

	if (r == 0) {
		*ret = row;
	}
	return r;
}

int store_idempotency_finish(struct store *s, const struct idempotency_row *row,
			     struct fault *fault)
{
	return store_change(s, true, fault,
			    "UPDATE idempotency SET status = $3, body = $4 "
			    "WHERE user_id = $1 AND key = $2",
			    TEXT(row->user), TEXT(row->key), NUMBER(row->status), TEXT(row->body));
}

int store_idempotency_drop(struct store *s, const char *user, const char *key, struct fault *fault)
{
	return store_change(s, false, fault,
			    "DELETE FROM idempotency WHERE user_id = $1 AND key = $2", TEXT(user),
			    TEXT(key));
}

int store_idempotency_done(struct store *s, const char *user, const char *key, const char *object,
			   struct fault *fault)
{
	return store_change(s, false, fault,
			    "UPDATE idempotency SET object = $3 WHERE user_id = $1 AND key = $2",
			    TEXT(user), TEXT(key), TEXT(object));
}

int store_idempotency_interrupt(struct store *s, struct fault *fault)
{
	return store_change(s, false, fault, "UPDATE idempotency SET status = $1 WHERE status = $2",
			    NUMBER(IDEMPOTENCY_INTERRUPTED), NUMBER(IDEMPOTENCY_UNDER_WAY));
}

int store_idempotency_resume(struct store *s, const char *user, const char *key,
			     struct fault *fault)
{
	return store_change(s, true, fault,
			    "UPDATE idempotency SET status = $3 WHERE user_id = $1 AND key = $2",
			    TEXT(user), TEXT(key), NUMBER(IDEMPOTENCY_UNDER_WAY));
}
