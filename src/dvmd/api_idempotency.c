/* SPDX-License-Identifier: Apache-2.0 */
/* Idempotency-Key; see the header. */
#include "api_idempotency.h"

#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "log.h"
#include "parse.h"
#include "sha256.h"
#include "store_idempotency.h"

static bool key_valid(const char *key)
{
	size_t len = strlen(key);

	for (const char *p = key; *p; p++) {
		if (*p < '!' || *p > '~') {
			return false;
		}
	}
	return len >= 1 && len <= API_KEY_MAX;
}

/* Of method, path with query, and body. */
static int hash_request(struct api_call *c, char out[65], struct fault *fault)
{
	const char *method = http_request_method(c->request);
	const char *target = http_request_target(c->request);
	size_t body_len, head_len;
	const char *body = http_request_body(c->request, &body_len);
	_cleanup_free_ char *all = NULL;

	head_len = strlen(method) + strlen(target) + 2;
	all = malloc(head_len + body_len + 1);
	if (!all) {
		return api_no_memory(fault);
	}
	snprintf(all, head_len + 1, "%s\n%s\n", method, target);
	memcpy(all + head_len, body, body_len);
	sha256_hex(all, head_len + body_len, out);
	return 0;
}

static int secret_lost(struct fault *fault)
{
	fault_set(fault, FAULT_CONFLICT,
		  "This request was answered before, with a secret that is not kept");
	fault_hint(fault, "Ask anew, with a new Idempotency-Key.");
	return -EREMOTEIO;
}

/* We died over the first request. As api_idempotency_begin(). */
static int resume(struct api_call *c, const struct idempotency_row *kept, struct fault *fault)
{
	bool done = kept->object[0];
	int r;

	if (done && c->route->flags & API_SECRET) {
		return secret_lost(fault);
	}
	if (!(done && c->route->again) && c->route->once && c->route->once(c)) {
		fault_set(
			fault, FAULT_CONFLICT,
			"The first request with this Idempotency-Key was broken off, and may have "
			"been done");
		fault_hint(fault, "Look whether it was; if not, ask anew with a new key.");
		return -EREMOTEIO;
	}
	r = store_idempotency_resume(c->d->store, kept->user, kept->key, fault);
	if (r < 0) {
		return r;
	}
	snprintf(c->key, sizeof(c->key), "%.*s", API_KEY_MAX, kept->key);
	snprintf(c->who.key, sizeof(c->who.key), "%s", kept->key);
	if (done && c->route->again) {
		c->route->again(c, kept->object);
		return 0;
	}
	return 1;
}

/* The key is there: from the same request, with an answer? */
static int replay(struct api_call *c, const struct idempotency_row *asked, struct fault *fault)
{
	_cleanup_(idempotency_row_fini) struct idempotency_row kept = { 0 };
	int r = store_idempotency_get(c->d->store, asked->user, asked->key, &kept, fault);

	if (r == -ENOENT) {
		return fault_set(fault, FAULT_CONFLICT,
				 "The request with this Idempotency-Key has just ended");
	}
	if (r < 0) {
		return r;
	}
	if (strcmp(kept.request_hash, asked->request_hash) != 0) {
		return fault_set(fault, FAULT_IDEMPOTENCY_MISMATCH,
				 "This Idempotency-Key came with another request before");
	}
	if (kept.status == IDEMPOTENCY_INTERRUPTED) {
		return resume(c, &kept, fault);
	}
	if (kept.status == IDEMPOTENCY_UNDER_WAY) {
		fault_set(fault, FAULT_CONFLICT,
			  "The first request with this Idempotency-Key is still under way");
		fault_hint(fault, "Send it again in a moment to get its answer.");
		return -EREMOTEIO;
	}
	if (c->route->flags & API_SECRET) {
		return secret_lost(fault);
	}
	api_reply_body_take(c, (unsigned)kept.status, TAKE_PTR(kept.body));
	return 0;
}

int api_idempotency_begin(struct api_call *c, struct fault *fault)
{
	const char *key = http_request_header(c->request, "Idempotency-Key");
	struct idempotency_row row = { .expires = clock_realtime() + API_IDEMPOTENCY_AGE };
	int r;

	if (!key || strcmp(http_request_method(c->request), "POST") != 0) {
		return 1;
	}
	if (!key_valid(key)) {
		fault_set(fault, FAULT_BAD_REQUEST,
			  "Idempotency-Key must be 1 to %d printable ASCII characters",
			  API_KEY_MAX);
		return -EREMOTEIO;
	}
	snprintf(row.user, sizeof(row.user), "%s", c->who.user);
	snprintf(row.key, sizeof(row.key), "%s", key);
	r = hash_request(c, row.request_hash, fault);
	if (r < 0) {
		return r;
	}
	r = store_idempotency_begin(c->d->store, &row, fault);
	if (r == -EEXIST) {
		return replay(c, &row, fault);
	}
	if (r < 0) {
		return r;
	}
	snprintf(c->key, sizeof(c->key), "%s", key);
	snprintf(c->who.key, sizeof(c->who.key), "%s", key);
	return 1;
}

void api_idempotency_finish(struct api_call *c, unsigned status, const char *body)
{
	_cleanup_(idempotency_row_fini) struct idempotency_row row = {
		.status = (int)status,
		.expires = clock_realtime() + API_IDEMPOTENCY_AGE,
	};
	struct fault fault;

	snprintf(row.user, sizeof(row.user), "%s", c->who.user);
	snprintf(row.key, sizeof(row.key), "%s", c->key);
	c->key[0] = '\0';
	row.body = strdup(body && !(c->route->flags & API_SECRET) ? body : "");
	if (!row.body) {
		log_warn("No memory to keep the answer for an Idempotency-Key, ignoring");
		return;
	}
	if (store_idempotency_finish(c->d->store, &row, &fault) < 0) {
		log_warn("Cannot keep the answer for an Idempotency-Key: %s, ignoring",
			 fault.message);
	}
}

void api_idempotency_drop(struct api_call *c)
{
	struct fault fault;

	if (store_idempotency_drop(c->d->store, c->who.user, c->key, &fault) < 0) {
		log_warn("Cannot forget an Idempotency-Key: %s, ignoring", fault.message);
	}
	c->key[0] = '\0';
}
