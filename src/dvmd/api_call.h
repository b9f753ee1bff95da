/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request to the API on its way: what the dispatcher has found out, and how a handler answers.
 *
 * Theory of operation: the dispatcher (api_dispatch.c) finds the route, the principal, and reads
 * query and body by the route's tables, so a handler begins with values. It answers exactly once,
 * now or from a callback, and the call is gone then. What came with an Idempotency-Key is written
 * down before the answer leaves.
 */
#pragma once

#include "api_fields.h"
#include "dvmd.h"
#include "http_server.h"
#include "identity.h"
#include "list.h"

#define API_PARAMS_MAX 2
#define API_REQUEST_ID_MAX 64
#define API_KEY_MAX 128

struct api;
struct api_call;

enum api_flags {
	API_PUBLIC = 1 << 0, /* without a token */
	API_BODY_OPTIONAL = 1 << 1,
	API_SECRET = 1 << 2, /* the answer holds a secret: it is not kept for Idempotency-Key */
	API_MADE = 1 << 3,   /* 201 has a Location: the path of the request and the answer's "id" */
};

struct api_route {
	const char *method, *path; /* "/v1/vms/{vm}" */
	const char *action;	   /* for the audit: "vm.power"; NULL for what only reads */
	void (*handle)(struct api_call *c);
	const struct field *query;
	const struct field *body; /* NULL: takes none */
	unsigned flags;
	/* For a request whose answer was lost with us, repeated: answers it by what it did to
	 * `object` (as in the audit). NULL: it is done again, and comes to the same. */
	void (*again)(struct api_call *c, const char *object);
	/* Whether doing it again would be another act; NULL: never. */
	bool (*once)(const struct api_call *c);
};

struct api_call {
	struct api *api;
	struct dvmd *d;
	struct list link; /* of the API's open calls */
	struct http_request *request;
	const struct api_route *route;
	struct http_target target;
	const char *params[API_PARAMS_MAX]; /* from the path, in order */
	struct principal who;
	struct api_query query;
	json_t *json; /* what `body` points into */
	union api_body body;
	char id[API_REQUEST_ID_MAX + 1];
	char key[API_KEY_MAX + 1]; /* Idempotency-Key, once it is ours to finish; else "" */
	usec_t started;
};

/* Each ends the call. */
void api_reply(struct api_call *c, unsigned status,
	       const json_t *answer); /* borrowed; NULL: no body */
void api_reply_take(struct api_call *c, unsigned status,
		    json_t *answer); /* NULL: there was no memory for it */
void api_fault(struct api_call *c, const struct fault *fault);
/* With a status of its own, and headers added before. */
void api_fault_status(struct api_call *c, const struct fault *fault, unsigned status);
/* An ops_reply_fn's arguments. */
void api_answer(struct api_call *c, unsigned status, const json_t *result,
		const struct fault *fault);
/* The result of a function that returns at once; takes `answer`. */
void api_answer_take(struct api_call *c, unsigned status, int r, json_t *answer,
		     const struct fault *fault);
/* Another type than JSON; takes `body`. */
void api_reply_text_take(struct api_call *c, const char *type, char *body, size_t len);
/* Leaves the request to its stream (http_request_stream()): it is still there, the call is gone. */
void api_stream(struct api_call *c, unsigned status, const char *type, uint64_t length,
		const struct http_stream_ops *ops, void *user);

/* ops_reply_fn with the call as `user`. */
void api_on_ok(const json_t *result, const struct fault *fault, void *user);   /* 200 */
void api_on_made(const json_t *result, const struct fault *fault, void *user); /* 201 */
void api_on_none(const json_t *result, const struct fault *fault, void *user); /* 204 */

/* Writes down that the route's action was refused (access.h does so by itself). Returns -EREMOTEIO.
 */
int api_refused(struct api_call *c, const char *object, const struct fault *fault);
/* Logins over SSH with this key end. */
void api_key_is_removed(struct api *a, const char *key);
/* Sets FAULT_INTERNAL for no memory. */
int api_no_memory(struct fault *fault);
