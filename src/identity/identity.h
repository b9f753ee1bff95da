/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is asking: bearer tokens to principals. A driver (local: tokens and projects in the store)
 * stands behind a vtable; more than one can be asked in turn, since a driver tells "not mine"
 * (-ENOENT) from "mine, but refused".
 */
#pragma once

#include "rights.h"
#include "store_identity.h"
#include "store_key.h"

#define PRINCIPAL_PROJECTS_MAX 64
#define TOKEN_BYTES_MAX 512 /* of a bearer token, of whatever driver */

struct principal {
	char user[ID_MAX], user_name[NAME_MAX_LEN];
	char token[ID_MAX]; /* id of the token, never the token */
	unsigned rights;    /* in every project, already cut to what the token lets through */
	struct {
		char id[ID_MAX], name[NAME_MAX_LEN];
		unsigned rights; /* cut likewise */
	} projects[PRINCIPAL_PROJECTS_MAX];
	size_t n_projects;
	char session[ID_MAX]; /* a D-VM speaks for its session: only that session and its targets
				 exist. Else "" */
	char request[ID_MAX +
		     32]; /* id of the request it makes now, for the audit; set by the caller */
	char key[132];	  /* that request's Idempotency-Key, once it is on record; else "" */
};

/* All rights of `p` in a project. */
unsigned principal_rights(const struct principal *p, const char *project);

/* The projects where it has one of `rights`, as `projects` of store.h, to be freed; *ret is NULL
 * for all. -ENOMEM. */
int principal_projects(const struct principal *p, unsigned rights, char **ret) _must_check_;

struct identity;

struct identity_ops {
	const char *name;
	/* 0; -ENOENT: not a token of this driver; -EREMOTEIO with unauthenticated (expired,
	 * revoked), store-full … */
	int (*authenticate)(struct identity *i, const char *bearer, struct principal *ret,
			    struct fault *fault);
	struct identity *(*free)(struct identity *i);
};

/* Drivers begin their own struct with this. */
struct identity {
	const struct identity_ops *ops;
};

int identity_local_new(struct store *store, struct identity **ret) _must_check_;
struct identity *identity_free(struct identity *i);
/* FAULT_UNAUTHENTICATED for all that is no good; the text never says which of the reasons it was.
 */
int identity_authenticate(struct identity *i, const char *bearer, struct principal *ret,
			  struct fault *fault) _must_check_;

/* Local tokens: "dvm_" and 43 characters. Makes one for a user; *ret_token is shown once and kept
 * nowhere. */
#define LOCAL_TOKEN_MAX 64
int local_token_create(struct store *store, const char *user, const char *name, unsigned rights,
		       usec_t expires, struct token_row *ret_row, char ret_token[LOCAL_TOKEN_MAX],
		       struct fault *fault) _must_check_;
/* For one SSH login: its user's rights as far as the key lets them through. */
int local_token_create_for_key(struct store *store, const struct key_row *key, usec_t expires,
			       struct token_row *ret_row, char ret_token[LOCAL_TOKEN_MAX],
			       struct fault *fault) _must_check_;
/* Of an SSH key's blob, as ssh-keygen -l shows it: "SHA256:…". */
void ssh_fingerprint(const void *blob, size_t len, char out[KEY_FINGERPRINT_MAX]);
/* First start: user `admin`, project `default`, a token. -EEXIST without a fault when a token
 * exists already. */
int local_bootstrap(struct store *store, char ret_token[LOCAL_TOKEN_MAX],
		    struct fault *fault) _must_check_;
