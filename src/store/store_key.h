/* SPDX-License-Identifier: Apache-2.0 */
/* SSH keys of users. A key belongs to one user: its fingerprint is unique. */
#pragma once

#include "ssh_pubkey.h"
#include "store.h"

#define KEY_FINGERPRINT_MAX 64 /* "SHA256:…" with its NUL */

struct key_row {
	char id[ID_MAX];			    /* k-… */
	char user[ID_MAX], user_name[NAME_MAX_LEN]; /* the name is set by reading */
	char type[SSH_PUBKEY_TYPE_MAX];
	char blob[SSH_PUBKEY_TEXT_MAX]; /* BASE64 */
	char fingerprint[KEY_FINGERPRINT_MAX];
	char comment[SSH_PUBKEY_COMMENT_MAX + 1];
	unsigned rights; /* what it lets through of its user's */
	usec_t created, last_used;
};
int store_key_add(struct store *s, const struct key_row *k, struct fault *fault) _must_check_;
int store_key_get(struct store *s, const char *id, struct key_row *ret,
		  struct fault *fault) _must_check_;
int store_key_by_fingerprint(struct store *s, const char *fingerprint, struct key_row *ret,
			     struct fault *fault) _must_check_;
/* user NULL: of all */
int store_key_list(struct store *s, const char *user, unsigned limit, const char *after,
		   struct key_row **ret, size_t *ret_n, struct fault *fault) _must_check_;
int store_key_used(struct store *s, const char *id, usec_t when, struct fault *fault) _must_check_;
/* And the tokens of its logins. In a transaction of the caller's. */
int store_key_remove(struct store *s, const char *id, struct fault *fault) _must_check_;
