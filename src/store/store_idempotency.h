/* SPDX-License-Identifier: Apache-2.0 */
/* Answers to requests that carried an Idempotency-Key, so that a repeated one gets the same answer.
 */
#pragma once

#include "store.h"

struct idempotency_row {
	char user[ID_MAX];
	char key[132];
	char request_hash[65]; /* SHA-256 of method, path and body, hex */
	int status;	       /* 0: the first request is still being answered */
	char *body;	       /* owned; NULL while status is 0 */
	usec_t expires;
};
void idempotency_row_fini(struct idempotency_row *row);

/* -EEXIST when the key is there (store_idempotency_get() tells with what). Also drops what has
 * expired. */
int store_idempotency_begin(struct store *s, const struct idempotency_row *row,
			    struct fault *fault) _must_check_;
int store_idempotency_get(struct store *s, const char *user, const char *key,
			  struct idempotency_row *ret, struct fault *fault) _must_check_;
/* Sets status and body. */
int store_idempotency_finish(struct store *s, const struct idempotency_row *row,
			     struct fault *fault) _must_check_;
/* The request came to nothing that is worth repeating. */
int store_idempotency_drop(struct store *s, const char *user, const char *key,
			   struct fault *fault) _must_check_;
/* At start: requests that were being answered when we died are forgotten. */
int store_idempotency_drop_open(struct store *s, struct fault *fault) _must_check_;
