/* SPDX-License-Identifier: Apache-2.0 */
/* What several commands do with a session. */
#include "session.h"

#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "clock.h"
#include "event_text.h"
#include "parse.h"
#include "view.h"

/* A step shows this much later than it happened, at most. */
#define POLL_MS 150

int session_id(const char *word, char **ret, struct fault *fault)
{
	const char *at = strchr(word, '@');
	const char *id = at ? at + 1 : word;
	size_t len = strcspn(id, ".");

	if ((id[len] && strcmp(id + len, ".dvm") != 0) || strncmp(id, "s-", 2) != 0) {
		fault_set(fault, FAULT_BAD_VALUE, "\"%.60s\" is not a session", word);
		fault_hint(fault, "a session looks like s-7m2x9qkd; dvm session list shows yours");
		return -EREMOTEIO;
	}
	*ret = strndup(id, len);
	return *ret ? 0 : -ENOMEM;
}

int session_get(struct cli *cli, const char *word, json_t **ret, struct fault *fault)
{
	_cleanup_free_ char *id = NULL;
	_cleanup_free_ char *path = NULL;
	int r;

	r = session_id(word, &id, fault);
	if (r < 0) {
		return r;
	}
	path = rest_path("/v1/sessions/%s", id);
	return cli_call(cli, "GET", path, NULL, ret, fault);
}

static bool state_is(const json_t *session, const char *state)
{
	const char *s = json_text(session, "state");

	return s && strcmp(s, state) == 0;
}

const char *session_target(const json_t *session, const char *vm)
{
	const json_t *target;
	size_t i;

	json_array_foreach(json_object_get(session, "targets"), i, target)
	{
		const char *id = json_text(target, "vm"), *name = json_text(target, "name");

		if (id && name && (strcmp(id, vm) == 0 || strcmp(name, vm) == 0)) {
			return name;
		}
	}
	return NULL;
}

bool session_is_over(const json_t *session)
{
	return state_is(session, "ended") || state_is(session, "failed");
}

/* Prints what stands in the timeline behind event *io_seen, with its time since `created`. */
static int print_new_steps(struct cli *cli, const char *id, usec_t created, json_int_t *io_seen,
			   struct fault *fault)
{
	_cleanup_free_ char *path = strf(
		"/v1/sessions/%s/timeline?limit=200&after=%" JSON_INTEGER_FORMAT, id, *io_seen);
	_cleanup_(json_decrefp) json_t *answer = NULL;
	json_t *event;
	size_t i;
	int r;

	r = cli_call(cli, "GET", path, NULL, &answer, fault);
	if (r < 0) {
		return r;
	}
	json_array_foreach(json_object_get(answer, "items"), i, event)
	{
		_cleanup_free_ char *text = event_text(event);
		usec_t at;

		if (!text) {
			return -ENOMEM;
		}
		if (view_parse_time(json_text(event, "at"), &at) == 0) {
			cli_print_step(cli, at > created ? at - created : 0, text);
		}
		*io_seen = json_integer_value(json_object_get(event, "id"));
	}
	return 0;
}

static int own_fault(const json_t *session, struct fault *fault)
{
	const json_t *f = json_object_get(session, "fault");
	const char *code = json_text(f, "code"), *message = json_text(f, "message"),
		   *hint = json_text(f, "hint");

	if (!code) {
		return fault_set(fault, FAULT_SESSION_ENDED,
				 "the session ended before it was ready");
	}
	fault_set(fault, fault_code_parse(code), "%s", message ? message : code);
	if (hint) {
		fault_hint(fault, "%s", hint);
	}
	return -EREMOTEIO;
}

int session_wait(struct cli *cli, const char *id, enum session_wait until, usec_t timeout,
		 bool steps, json_t **ret, struct fault *fault)
{
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	usec_t end = clock_monotonic() + timeout;
	json_int_t seen = 0;
	usec_t created = 0;
	int r;

	for (;;) {
		_cleanup_(json_decrefp) json_t *session = NULL;
		bool done;

		r = session_get(cli, id, &session, fault);
		if (r < 0) {
			return r;
		}
		done = session_is_over(session) ||
		       (until == SESSION_WAIT_READY && state_is(session, "ready"));
		if (steps) {
			if (view_parse_time(json_text(session, "created"), &created) < 0) {
				return fault_set(fault, FAULT_PROTOCOL,
						 "the server's answer is not a session");
			}
			r = print_new_steps(cli, id, created, &seen, fault);
			if (r < 0) {
				return r;
			}
		}
		if (done && until == SESSION_WAIT_READY && !state_is(session, "ready")) {
			return own_fault(session, fault);
		}
		if (until == SESSION_WAIT_READY && state_is(session, "detaching")) {
			return own_fault(session, fault);
		}
		if (done) {
			if (ret) {
				*ret = TAKE_PTR(session);
			}
			return 0;
		}
		if (clock_monotonic() > end) {
			return fault_set(fault, FAULT_TIMEOUT, "session %s is still %s", id,
					 json_text(session, "state"));
		}
		nanosleep(&pause, NULL);
	}
}
