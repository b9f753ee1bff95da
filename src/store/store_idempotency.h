/* SPDX-License-Identifier: Apache-2.0 */
/* Answers to requests that carried an Idempotency-Key, so that a repeated one gets the same answer.
 */
#pragma once

#include "store.h"

#define IDEMPOTENCY_UNDER_WAY 0
#define IDEMPOTENCY_INTERRUPTED (-1) /* by our own death */

struct idempotency_row {
	char user[ID_MAX];
	char key[132];
	char request_hash[65]; /* SHA-256 of method, path and body, hex */
	int status;	       /* of the answer, or one of the above */
	char *body;	       /* owned; NULL while there is no answer */
	char object[96];       /* what it did, as in the audit: an object's id; "": nothing yet */
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
/* The request has done something to `object`: in the transaction that does it. Fine when the key is
 * not there any more. */
int store_idempotency_done(struct store *s, const char *user, const char *key, const char *object,
			   struct fault *fault) _must_check_;
/* At start: what was under way when we died is interrupted. */
int store_idempotency_interrupt(struct store *s, struct fault *fault) _must_check_;
/* An interrupted request is under way again. */
int store_idempotency_resume(struct store *s, const char *user, const char *key,
			     struct fault *fault) _must_check_;
