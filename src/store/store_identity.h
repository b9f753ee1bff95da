/* SPDX-License-Identifier: Apache-2.0 */
/* Users, projects, who may do what in which, and tokens (their hashes). */
#pragma once

#include "store.h"

struct user_row {
	char id[ID_MAX]; /* u-… */
	char name[NAME_MAX_LEN];
	unsigned rights; /* in every project; RIGHT_ADMIN here: over the whole of dvm */
	usec_t created;
};
int store_user_add(struct store *s, const struct user_row *u, struct fault *fault) _must_check_;
/* By id or name. */
int store_user_get(struct store *s, const char *ref, struct user_row *ret,
		   struct fault *fault) _must_check_;
int store_user_list(struct store *s, unsigned limit, const char *after, struct user_row **ret,
		    size_t *ret_n, struct fault *fault) _must_check_;

struct project_row {
	char id[ID_MAX]; /* p-… */
	char name[NAME_MAX_LEN];
	usec_t created;
};
int store_project_add(struct store *s, const struct project_row *p,
		      struct fault *fault) _must_check_;
/* By id or name. */
int store_project_get(struct store *s, const char *ref, struct project_row *ret,
		      struct fault *fault) _must_check_;
int store_project_list(struct store *s, unsigned limit, const char *after, struct project_row **ret,
		       size_t *ret_n, struct fault *fault) _must_check_;

struct member_row {
	char project[ID_MAX], project_name[NAME_MAX_LEN];
	char user[ID_MAX], user_name[NAME_MAX_LEN];
	unsigned rights; /* 0 removes the member */
};
int store_member_set(struct store *s, const struct member_row *m, struct fault *fault) _must_check_;
/* Of one user, or of one project (the other NULL), ordered by the other's id. */
int store_member_list(struct store *s, const char *user, const char *project, unsigned limit,
		      struct member_row **ret, size_t *ret_n, struct fault *fault) _must_check_;

struct token_row {
	char id[ID_MAX];			    /* t-… */
	char user[ID_MAX], user_name[NAME_MAX_LEN]; /* the name is set by reading */
	char name[NAME_MAX_LEN];		    /* for its owner: "laptop" */
	char hash[65];				    /* SHA-256 of the token, hex */
	unsigned rights;			    /* what it lets through of its user's */
	usec_t created, expires /* 0: never */, last_used;
	bool revoked;
	char key[ID_MAX]; /* of an SSH login: the key that opened it; else "" */
};
int store_token_add(struct store *s, const struct token_row *t, struct fault *fault) _must_check_;
int store_token_get(struct store *s, const char *id, struct token_row *ret,
		    struct fault *fault) _must_check_;
int store_token_by_hash(struct store *s, const char *hash, struct token_row *ret,
			struct fault *fault) _must_check_;
/* user NULL: of all; without those of SSH logins */
int store_token_list(struct store *s, const char *user, unsigned limit, const char *after,
		     struct token_row **ret, size_t *ret_n, struct fault *fault) _must_check_;
/* last_used, revoked, expires */
int store_token_update(struct store *s, const struct token_row *t,
		       struct fault *fault) _must_check_;
/* Tokens of SSH logins leave no row: a login leaves its trace in the audit. */
int store_token_remove(struct store *s, const char *id, struct fault *fault) _must_check_;
/* Those of SSH logins that ended before `now`. */
int store_token_sweep(struct store *s, usec_t now, struct fault *fault) _must_check_;
