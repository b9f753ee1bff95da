/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of SSH keys. */
#include "store_key.h"

#include <assert.h>

#include "store_driver.h"

#define KEY_SELECT                                                                                 \
	"SELECT k.id, k.user_id, u.name, k.type, k.blob, k.fingerprint, k.comment, k.rights, "     \
	"k.created, k.last_used FROM ssh_keys k JOIN users u ON u.id = k.user_id "

static int decode_key(const struct store_cursor *row, void *ret)
{
	struct key_row *k = ret;

	row_copy(row, 0, k->id);
	row_copy(row, 1, k->user);
	row_copy(row, 2, k->user_name);
	row_copy(row, 3, k->type);
	row_copy(row, 4, k->blob);
	row_copy(row, 5, k->fingerprint);
	row_copy(row, 6, k->comment);
	k->rights = (unsigned)row_number(row, 7);
	k->created = (usec_t)row_number(row, 8);
	k->last_used = (usec_t)row_number(row, 9);
	return 0;
}

int store_key_add(struct store *s, const struct key_row *k, struct fault *fault)
{
	return store_change(s, true, fault,
			    "INSERT INTO ssh_keys (id, user_id, type, blob, fingerprint, comment, "
			    "rights, created, last_used) "
			    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
			    TEXT(k->id), TEXT(k->user), TEXT(k->type), TEXT(k->blob),
			    TEXT(k->fingerprint), TEXT(k->comment), NUMBER(k->rights),
			    NUMBER(k->created), NUMBER(k->last_used));
}

static int key_get(struct store *s, const char *sql, const char *by, struct key_row *ret,
		   struct fault *fault)
{
	struct key_row k = { 0 };
	int r = store_one(s, decode_key, &k, fault, sql, TEXT(by));

	if (r == 0) {
		*ret = k;
	}
	return r;
}

int store_key_get(struct store *s, const char *id, struct key_row *ret, struct fault *fault)
{
	return key_get(s, KEY_SELECT "WHERE k.id = $1", id, ret, fault);
}

int store_key_by_fingerprint(struct store *s, const char *fingerprint, struct key_row *ret,
			     struct fault *fault)
{
	return key_get(s, KEY_SELECT "WHERE k.fingerprint = $1", fingerprint, ret, fault);
}

int store_key_list(struct store *s, const char *user, unsigned limit, const char *after,
		   struct key_row **ret, size_t *ret_n, struct fault *fault)
{
	return store_many(s, decode_key, NULL, sizeof(**ret), ret, ret_n, fault,
			  KEY_SELECT
			  "WHERE ($1 = '' OR k.user_id = $1) AND k.id > $2 ORDER BY k.id LIMIT $3",
			  TEXT(user ?: ""), TEXT(after ?: ""), NUMBER(page_limit(limit)));
}

int store_key_used(struct store *s, const char *id, usec_t when, struct fault *fault)
{
	return store_change(s, true, fault, "UPDATE ssh_keys SET last_used = $2 WHERE id = $1",
			    TEXT(id), NUMBER(when));
}

int store_key_remove(struct store *s, const char *id, struct fault *fault)
{
	int r;

	assert(store_in_tx(s));
	r = store_change(s, false, fault, "DELETE FROM tokens WHERE key_id = $1", TEXT(id));
	return r < 0 ? r
		     : store_change(s, true, fault, "DELETE FROM ssh_keys WHERE id = $1", TEXT(id));
}
