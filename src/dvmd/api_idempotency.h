/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Idempotency-Key: the first request of a key is written down before it is handled, what it did in
 * the transaction that does it (audit_add()), and its answer before that leaves. So a repeated one
 * is never done twice: it gets the answer that is kept; where we died before there was one, it is
 * answered by what was done, or done now where nothing was. What cannot be taken back into a
 * transaction (a reset) and may have been done is refused. Refused requests did nothing: their key
 * is free again.
 */
#pragma once

#include "api_call.h"

#define API_IDEMPOTENCY_AGE (24 * 3600 * USEC_PER_SEC)

/* 1: go on, the key (if there is one) is the call's to finish. 0: the call was answered with what
 * is kept. -EREMOTEIO: idempotency-mismatch, conflict, bad-request … */
int api_idempotency_begin(struct api_call *c, struct fault *fault) _must_check_;
/* What cannot be kept is logged: the request was done, and its answer must say so. */
void api_idempotency_finish(struct api_call *c, unsigned status, const char *body);
void api_idempotency_drop(struct api_call *c);

/* For replayed answers (api_call.c); takes `body` (NULL: none) and ends the call. */
void api_reply_body_take(struct api_call *c, unsigned status, char *body);
