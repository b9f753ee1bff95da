/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identity out of the store: users, projects and bearer tokens of our own.
 *
 * A token is "dvm_" and 256 random bits, so its hash needs no salt and can be looked up by its
 * value; comparing happens on hashes, whose bytes tell nothing about a token that would be close.
 */
#include <string.h>

#include "clock.h"
#include "identity.h"
#include "log.h"
#include "parse.h"
#include "sha256.h"

#define TOKEN_PREFIX "dvm_"
#define LAST_USED_STEP                                                                             \
	(60 * USEC_PER_SEC) /* a write for every request would be a disk flush each */

struct identity_local {
	struct identity base;
	struct store *store;
};

static bool token_well_formed(const char *bearer)
{
	size_t prefix = strlen(TOKEN_PREFIX);

	return strncmp(bearer, TOKEN_PREFIX, prefix) == 0 && strlen(bearer) == prefix + SECRET_LEN;
}

static int fill_projects(struct store *store, const struct token_row *token, struct principal *p,
			 struct fault *fault)
{
	_cleanup_free_ struct member_row *rows = NULL;
	size_t n = 0;
	int r = store_member_list(store, token->user, NULL, PRINCIPAL_PROJECTS_MAX, &rows, &n,
				  fault);

	if (r < 0) {
		return r;
	}
	for (size_t i = 0; i < n; i++) {
		strcpy(p->projects[i].id, rows[i].project);
		strcpy(p->projects[i].name, rows[i].project_name);
		p->projects[i].rights = rows[i].rights & token->rights;
	}
	p->n_projects = n;
	return 0;
}

static int local_authenticate(struct identity *i, const char *bearer, struct principal *ret,
			      struct fault *fault)
{
	struct store *store = container_of(i, struct identity_local, base)->store;
	usec_t now = clock_realtime();
	struct principal p = { 0 };
	struct token_row token;
	struct user_row user;
	char hash[SHA256_HEX_LEN + 1];
	int r;

	if (!token_well_formed(bearer)) {
		return -ENOENT;
	}
	sha256_hex(bearer, strlen(bearer), hash);
	r = store_token_by_hash(store, hash, &token, fault);
	if (r < 0) {
		return r;
	}
	if (!secret_equal(hash, token.hash) || token.revoked ||
	    (token.expires && token.expires <= now)) {
		return fault_set(fault, FAULT_UNAUTHENTICATED, "The token is not valid");
	}
	r = store_user_get(store, token.user, &user, fault);
	if (r < 0) {
		return r;
	}
	strcpy(p.user, user.id);
	strcpy(p.user_name, user.name);
	strcpy(p.token, token.id);
	p.rights = user.rights & token.rights;
	r = fill_projects(store, &token, &p, fault);
	if (r < 0) {
		return r;
	}
	if (now - token.last_used >= LAST_USED_STEP && !store_in_tx(store)) {
		token.last_used = now;
		/* A full disk must not lock out who wants to see what is wrong. */
		if (store_token_update(store, &token, NULL) < 0) {
			log_debug("last use of token %s is not recorded, ignoring", token.id);
		}
	}
	*ret = p;
	return 0;
}

static struct identity *local_free(struct identity *i)
{
	free(container_of(i, struct identity_local, base));
	return NULL;
}

static const struct identity_ops local_ops = {
	.name = "local",
	.authenticate = local_authenticate,
	.free = local_free,
};

int identity_local_new(struct store *store, struct identity **ret)
{
	struct identity_local *l = calloc(1, sizeof(*l));

	if (!l) {
		return -ENOMEM;
	}
	l->base.ops = &local_ops;
	l->store = store;
	*ret = &l->base;
	return 0;
}

/* `out` holds ID_MAX bytes. */
static int make_id(const char *prefix, char *out, struct fault *fault)
{
	_cleanup_free_ char *id = random_id(prefix, 12);

	if (!id) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory");
	}
	strcpy(out, id);
	return 0;
}

static int token_create(struct store *store, const char *user, const char *name, const char *key,
			unsigned rights, usec_t expires, struct token_row *ret_row,
			char ret_token[LOCAL_TOKEN_MAX], struct fault *fault)
{
	struct token_row row = { .rights = rights,
				 .created = clock_realtime(),
				 .expires = expires };
	char secret[SECRET_LEN + 1], token[LOCAL_TOKEN_MAX];
	struct user_row owner;
	int r;

	if (!name_valid(name)) {
		return fault_set(fault, FAULT_BAD_VALUE, "name is not a valid name");
	}
	r = store_user_get(store, user, &owner, fault);
	if (r < 0) {
		return r;
	}
	r = make_id("t", row.id, fault);
	if (r < 0) {
		return r;
	}
	random_secret(secret);
	snprintf(token, sizeof(token), TOKEN_PREFIX "%s", secret);
	sha256_hex(token, strlen(token), row.hash);
	strcpy(row.user, owner.id);
	strcpy(row.user_name, owner.name);
	strcpy(row.name, name);
	strcpy(row.key, key);
	r = store_token_add(store, &row, fault);
	if (r < 0) {
		return r;
	}
	*ret_row = row;
	memcpy(ret_token, token, LOCAL_TOKEN_MAX);
	return 0;
}

int local_token_create(struct store *store, const char *user, const char *name, unsigned rights,
		       usec_t expires, struct token_row *ret_row, char ret_token[LOCAL_TOKEN_MAX],
		       struct fault *fault)
{
	return token_create(store, user, name, "", rights, expires, ret_row, ret_token, fault);
}

int local_token_create_for_key(struct store *store, const struct key_row *key, usec_t expires,
			       struct token_row *ret_row, char ret_token[LOCAL_TOKEN_MAX],
			       struct fault *fault)
{
	return token_create(store, key->user, "ssh", key->id, key->rights, expires, ret_row,
			    ret_token, fault);
}

void ssh_fingerprint(const void *blob, size_t len, char out[KEY_FINGERPRINT_MAX])
{
	char text[SHA256_BASE64_LEN + 1];

	sha256_base64(blob, len, text);
	snprintf(out, KEY_FINGERPRINT_MAX, "SHA256:%s", text);
}

int local_bootstrap(struct store *store, char ret_token[LOCAL_TOKEN_MAX], struct fault *fault)
{
	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
	_cleanup_free_ struct token_row *tokens = NULL;
	struct user_row user = { .name = "admin",
				 .rights = RIGHTS_ALL,
				 .created = clock_realtime() };
	struct project_row project = { .name = "default", .created = clock_realtime() };
	struct member_row member = { .rights = RIGHTS_ALL };
	struct token_row row;
	char token[LOCAL_TOKEN_MAX];
	size_t n = 0;
	int r;

	r = store_tx_begin(&tx, store, fault);
	if (r == 0) {
		r = store_token_list(store, NULL, 1, NULL, &tokens, &n, fault);
	}
	if (r == 0 && n > 0) {
		return -EEXIST;
	}
	if (r == 0) {
		r = make_id("u", user.id, fault);
	}
	if (r == 0) {
		r = make_id("p", project.id, fault);
	}
	if (r == 0) {
		r = store_user_add(store, &user, fault);
	}
	if (r == 0) {
		r = store_project_add(store, &project, fault);
	}
	if (r == 0) {
		strcpy(member.project, project.id);
		strcpy(member.user, user.id);
		r = store_member_set(store, &member, fault);
	}
	if (r == 0) {
		r = local_token_create(store, user.id, "first", RIGHTS_ALL, 0, &row, token, fault);
	}
	if (r == 0) {
		r = store_tx_commit(&tx, fault);
	}
	if (r == 0) {
		memcpy(ret_token, token, LOCAL_TOKEN_MAX);
	}
	return r;
}
