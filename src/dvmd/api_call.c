/* SPDX-License-Identifier: Apache-2.0 */
/* How a call to the API is answered. */
#include "api_call.h"

#include <errno.h>
#include <string.h>

#include "api_idempotency.h"
#include "cleanup.h"
#include "clock.h"
#include "events.h"
#include "failpoint.h"
#include "log.h"
#include "metrics.h"
#include "parse.h"
#include "problem.h"

#define JSON_TYPE "application/json"
/* What is sent when there is no memory left to say anything else. */
#define NO_MEMORY_BODY                                                                             \
	"{\"type\":\"about:blank\",\"title\":\"dvm made a "                                        \
	"mistake\",\"status\":500,\"code\":\"internal\","                                          \
	"\"detail\":\"No memory left for the answer\",\"hint\":\"Try again later.\"}"

int api_no_memory(struct fault *fault)
{
	return fault_set(fault, FAULT_INTERNAL, "No memory left for this request");
}

int api_refused(struct api_call *c, const char *object, const struct fault *fault)
{
	const char *action = c->route && c->route->action ? c->route->action : "api.read";
	struct fault audit_fault;

	if (audit_add(c->d->events, &c->who, NULL, NULL, action, object, "", fault->code,
		      &audit_fault) < 0) {
		log_warn("Cannot audit a refusal: %s, ignoring", audit_fault.message);
	} else {
		events_committed(c->d->events);
	}
	return -EREMOTEIO;
}

/* Ends the call; what is left is its request. */
static struct http_request *finish(struct api_call *c, unsigned status, bool timed)
{
	struct http_request *request = c->request;
	const char *const classes[] = { "other", "1xx", "2xx", "3xx", "4xx", "5xx" };

	http_request_add_header(request, "X-Request-Id", c->id);
	http_request_add_header(request, "Cache-Control", "no-store");
	if (c->api) {
		metrics_count(c->d->metrics, METRIC_HTTP_REQUESTS,
			      classes[status / 100 < ARRAY_SIZE(classes) ? status / 100 : 0]);
		if (timed) {
			metrics_observe(c->d->metrics, METRIC_HTTP_SECONDS, NULL,
					clock_monotonic() - c->started);
		}
	}
	list_del(&c->link);
	json_decref(c->json);
	http_target_fini(&c->target);
	explicit_bzero(&c->who, sizeof(c->who));
	free(c);
	return request;
}

static void add_location(struct api_call *c, const char *body)
{
	_cleanup_(json_decrefp) json_t *answer = json_loads(body, 0, NULL);
	const char *id = json_string_value(json_object_get(answer, "id"));
	const char *target = http_request_target(c->request);
	_cleanup_free_ char *location = NULL;

	if (id) {
		location = strf("%.*s/%s", (int)strcspn(target, "?"), target, id);
	}
	if (location) {
		http_request_add_header(c->request, "Location", location);
	}
}

void api_reply_body_take(struct api_call *c, unsigned status, char *body)
{
	if (c->route && c->route->flags & API_MADE && (status == 201 || status == 202) && body) {
		add_location(c, body);
	}
	http_request_reply_take(finish(c, status, true), status, body ? JSON_TYPE : NULL, body,
				body ? strlen(body) : 0);
}

void api_reply(struct api_call *c, unsigned status, const json_t *answer)
{
	_cleanup_free_ char *body = NULL;
	struct fault fault;

	if (answer) {
		body = json_dumps(answer, JSON_COMPACT);
		if (!body) {
			api_no_memory(&fault);
			api_fault(c, &fault);
			return;
		}
	}
	if (c->key[0] && c->api) {
		(void)failpoint("api.answer");
		api_idempotency_finish(c, status, body);
	}
	api_reply_body_take(c, status, TAKE_PTR(body));
}

void api_reply_take(struct api_call *c, unsigned status, json_t *answer)
{
	struct fault fault;

	if (!answer) {
		api_no_memory(&fault);
		api_fault(c, &fault);
		return;
	}
	api_reply(c, status, answer);
	json_decref(answer);
}

void api_fault_status(struct api_call *c, const struct fault *fault, unsigned status)
{
	json_t *problem = problem_json(fault, status);
	char *body = problem ? json_dumps(problem, JSON_COMPACT) : NULL;

	json_decref(problem);
	if (!body) {
		status = 500;
		body = strdup(NO_MEMORY_BODY);
	}
	if (c->key[0] && c->api) {
		api_idempotency_drop(c);
	}
	if (status == 401) {
		http_request_add_header(c->request, "WWW-Authenticate", "Bearer");
	}
	http_request_reply_take(finish(c, status, true), status, PROBLEM_TYPE, body,
				body ? strlen(body) : 0);
}

void api_fault(struct api_call *c, const struct fault *fault)
{
	api_fault_status(c, fault, (unsigned)fault_code_http_status(fault->code));
}

void api_answer(struct api_call *c, unsigned status, const json_t *result,
		const struct fault *fault)
{
	if (fault) {
		api_fault(c, fault);
	} else {
		api_reply(c, status, status == 204 ? NULL : result);
	}
}

void api_answer_take(struct api_call *c, unsigned status, int r, json_t *answer,
		     const struct fault *fault)
{
	if (r < 0) {
		api_fault(c, fault);
	} else {
		api_reply_take(c, status, answer);
	}
}

void api_reply_text_take(struct api_call *c, const char *type, char *body, size_t len)
{
	http_request_reply_take(finish(c, 200, true), 200, type, body, len);
}

void api_stream(struct api_call *c, unsigned status, const char *type, uint64_t length,
		const struct http_stream_ops *ops, void *user)
{
	http_request_stream(finish(c, status, false), status, type, length, ops, user);
}

void api_on_ok(const json_t *result, const struct fault *fault, void *user)
{
	api_answer(user, 200, result, fault);
}

void api_on_made(const json_t *result, const struct fault *fault, void *user)
{
	api_answer(user, 201, result, fault);
}

void api_on_none(const json_t *result, const struct fault *fault, void *user)
{
	api_answer(user, 204, result, fault);
}
