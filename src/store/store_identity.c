/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of users, projects, members and tokens. */
#include "store_identity.h"

#include "store_driver.h"

static int decode_user(const struct store_cursor *row, void *ret)
{
	struct user_row *u = ret;

	row_copy(row, 0, u->id);
	row_copy(row, 1, u->name);
	u->rights = (unsigned)row_number(row, 2);
	u->created = (usec_t)row_number(row, 3);
	return 0;
}

int store_user_add(struct store *s, const struct user_row *u, struct fault *fault)
{
	return store_change(s, true, fault,
			    "INSERT INTO users (id, name, rights, created) VALUES ($1, $2, $3, $4)",
			    TEXT(u->id), TEXT(u->name), NUMBER(u->rights), NUMBER(u->created));
}

int store_user_get(struct store *s, const char *ref, struct user_row *ret, struct fault *fault)
{
	struct user_row u = { 0 };
	int r = store_one(s, decode_user, &u, fault,
			  "SELECT id, name, rights, created FROM users WHERE id = $1 OR name = $1",
			  TEXT(ref));

	if (r == 0) {
		*ret = u;
	}
	return r;
}

int store_user_list(struct store *s, unsigned limit, const char *after, struct user_row **ret,
		    size_t *ret_n, struct fault *fault)
{
	return store_many(s, decode_user, NULL, sizeof(**ret), ret, ret_n, fault,
			  "SELECT id, name, rights, created FROM users WHERE id > $1 ORDER BY id "
			  "LIMIT $2",
			  TEXT(after ?: ""), NUMBER(page_limit(limit)));
}

static int decode_project(const struct store_cursor *row, void *ret)
{
	struct project_row *p = ret;

	row_copy(row, 0, p->id);
	row_copy(row, 1, p->name);
	p->created = (usec_t)row_number(row, 2);
	return 0;
}

int store_project_add(struct store *s, const struct project_row *p, struct fault *fault)
{
	return store_change(s, true, fault,
			    "INSERT INTO projects (id, name, created) VALUES ($1, $2, $3)",
			    TEXT(p->id), TEXT(p->name), NUMBER(p->created));
}

int store_project_get(struct store *s, const char *ref, struct project_row *ret,
		      struct fault *fault)
{
	struct project_row p = { 0 };
	int r = store_one(s, decode_project, &p, fault,
			  "SELECT id, name, created FROM projects WHERE id = $1 OR name = $1",
			  TEXT(ref));

	if (r == 0) {
		*ret = p;
	}
	return r;
}

int store_project_list(struct store *s, unsigned limit, const char *after, struct project_row **ret,
		       size_t *ret_n, struct fault *fault)
{
	return store_many(
		s, decode_project, NULL, sizeof(**ret), ret, ret_n, fault,
		"SELECT id, name, created FROM projects WHERE id > $1 ORDER BY id LIMIT $2",
		TEXT(after ?: ""), NUMBER(page_limit(limit)));
}

int store_member_set(struct store *s, const struct member_row *m, struct fault *fault)
{
	if (m->rights == 0) {
		return store_change(s, false, fault,
				    "DELETE FROM members WHERE project_id = $1 AND user_id = $2",
				    TEXT(m->project), TEXT(m->user));
	}
	return store_change(
		s, true, fault,
		"INSERT INTO members (project_id, user_id, rights) VALUES ($1, $2, $3) "
		"ON CONFLICT (project_id, user_id) DO UPDATE SET rights = excluded.rights",
		TEXT(m->project), TEXT(m->user), NUMBER(m->rights));
}

static int decode_member(const struct store_cursor *row, void *ret)
{
	struct member_row *m = ret;

	row_copy(row, 0, m->project);
	row_copy(row, 1, m->project_name);
	row_copy(row, 2, m->user);
	row_copy(row, 3, m->user_name);
	m->rights = (unsigned)row_number(row, 4);
	return 0;
}

int store_member_list(struct store *s, const char *user, const char *project, unsigned limit,
		      struct member_row **ret, size_t *ret_n, struct fault *fault)
{
	return store_many(s, decode_member, NULL, sizeof(**ret), ret, ret_n, fault,
			  "SELECT m.project_id, p.name, m.user_id, u.name, m.rights FROM members m "
			  "JOIN projects p ON p.id = m.project_id JOIN users u ON u.id = m.user_id "
			  "WHERE ($1 = '' OR m.user_id = $1) AND ($2 = '' OR m.project_id = $2) "
			  "ORDER BY m.project_id, m.user_id LIMIT $3",
			  TEXT(user ?: ""), TEXT(project ?: ""), NUMBER(page_limit(limit)));
}

#define TOKEN_SELECT                                                                               \
	"SELECT t.id, t.user_id, u.name, t.name, t.hash, t.rights, t.created, t.expires, "         \
	"t.last_used, t.revoked, t.key_id FROM tokens t JOIN users u ON u.id = t.user_id "

static int decode_token(const struct store_cursor *row, void *ret)
{
	struct token_row *t = ret;

	row_copy(row, 0, t->id);
	row_copy(row, 1, t->user);
	row_copy(row, 2, t->user_name);
	row_copy(row, 3, t->name);
	row_copy(row, 4, t->hash);
	t->rights = (unsigned)row_number(row, 5);
	t->created = (usec_t)row_number(row, 6);
	t->expires = (usec_t)row_number(row, 7);
	t->last_used = (usec_t)row_number(row, 8);
	t->revoked = row_number(row, 9) != 0;
	row_copy(row, 10, t->key);
	return 0;
}

int store_token_add(struct store *s, const struct token_row *t, struct fault *fault)
{
	return store_change(
		s, true, fault,
		"INSERT INTO tokens (id, user_id, name, hash, rights, created, expires, "
		"last_used, revoked, key_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
		TEXT(t->id), TEXT(t->user), TEXT(t->name), TEXT(t->hash), NUMBER(t->rights),
		NUMBER(t->created), NUMBER(t->expires), NUMBER(t->last_used), NUMBER(t->revoked),
		TEXT(t->key));
}

static int token_get(struct store *s, const char *sql, const char *key, struct token_row *ret,
		     struct fault *fault)
{
	struct token_row t = { 0 };
	int r = store_one(s, decode_token, &t, fault, sql, TEXT(key));

	if (r == 0) {
		*ret = t;
	}
	return r;
}

int store_token_get(struct store *s, const char *id, struct token_row *ret, struct fault *fault)
{
	return token_get(s, TOKEN_SELECT "WHERE t.id = $1", id, ret, fault);
}

int store_token_by_hash(struct store *s, const char *hash, struct token_row *ret,
			struct fault *fault)
{
	return token_get(s, TOKEN_SELECT "WHERE t.hash = $1", hash, ret, fault);
}

int store_token_list(struct store *s, const char *user, unsigned limit, const char *after,
		     struct token_row **ret, size_t *ret_n, struct fault *fault)
{
	return store_many(s, decode_token, NULL, sizeof(**ret), ret, ret_n, fault,
			  TOKEN_SELECT
			  "WHERE ($1 = '' OR t.user_id = $1) AND t.id > $2 AND t.key_id = '' "
			  "ORDER BY t.id LIMIT $3",
			  TEXT(user ?: ""), TEXT(after ?: ""), NUMBER(page_limit(limit)));
}

int store_token_update(struct store *s, const struct token_row *t, struct fault *fault)
{
	return store_change(s, true, fault,
			    "UPDATE tokens SET last_used = $2, revoked = $3, expires = $4 "
			    "WHERE id = $1",
			    TEXT(t->id), NUMBER(t->last_used), NUMBER(t->revoked),
			    NUMBER(t->expires));
}

int store_token_remove(struct store *s, const char *id, struct fault *fault)
{
	return store_change(s, false, fault, "DELETE FROM tokens WHERE id = $1", TEXT(id));
}

int store_token_sweep(struct store *s, usec_t now, struct fault *fault)
{
	return store_change(s, false, fault,
			    "DELETE FROM tokens WHERE key_id <> '' AND expires <= $1", NUMBER(now));
}
