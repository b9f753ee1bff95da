/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Client of the REST API (interfaces/openapi.yaml) over libcurl. Blocking.
 *
 * Theory of operation: every POST carries an Idempotency-Key of its own, so that any request may be
 * sent again when the connection failed before an answer came (a gate that restarts, a network that
 * blinks): up to REST_TRIES times within a few seconds. An answer that is a problem document
 * becomes a fault as it stands.
 */
#pragma once

#include <jansson.h>

#include "config.h"
#include "fault.h"

#define REST_ANSWER_MAX (16 * 1024 * 1024)
#define REST_TRIES 6

struct rest;

int rest_new(const struct config *config, struct rest **ret, struct fault *fault) _must_check_;
struct rest *rest_free(struct rest *r);

/* Sends; takes `body` (NULL: none). *ret (may be NULL) gets the answer, JSON null for an empty one.
 */
int rest_call(struct rest *r, const char *method, const char *path, json_t *body, json_t **ret,
	      struct fault *fault) _must_check_;
/* GET into a file that is open for writing. */
int rest_download(struct rest *r, const char *path, int fd, struct fault *fault) _must_check_;

/* One server-sent event; return != 0 to end the stream. */
typedef int (*rest_event_fn)(const char *type, const char *id, const char *data, void *user);
/* GET of an event stream: 0 when the server, `fn` or the timeout (USEC_INFINITY: none) ended it, or
 * a silence longer than the server's keep-alives. *io_last_id (may be NULL; freed and replaced) is
 * where to go on after that. */
int rest_events(struct rest *r, const char *path, char **io_last_id, usec_t timeout,
		rest_event_fn fn, void *user, struct fault *fault) _must_check_;

/* Like asprintf with %s only; each %s is percent-encoded. NULL: no memory. */
char *rest_path(const char *fmt, ...) _printf_(1, 2);
