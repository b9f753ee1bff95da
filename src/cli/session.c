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

/* Follows the events of one session. */
struct watch {
	struct cli *cli;
	bool until_ready, steps;
	usec_t start; /* of the first event */
};

/* != 0 when the session has come to where there is nothing more to wait for. */
static int on_event(const char *type, const char *id, const char *data, void *user)
{
	struct watch *w = user;
	_cleanup_(json_decrefp) json_t *event = json_loads(data, 0, NULL);
	_cleanup_free_ char *text = event ? event_text(event) : NULL;
	const char *to = json_text(json_object_get(event, "data"), "to");
	usec_t at;

	if (!text) {
		return 0;
	}
	if (w->steps && view_parse_time(json_text(event, "at"), &at) == 0) {
		w->start = w->start ? w->start : at;
		cli_print_step(w->cli, at > w->start ? at - w->start : 0, text);
	}
	if (strcmp(type, "session.state") != 0 || !to) {
		return 0;
	}
	return strcmp(to, "ended") == 0 || strcmp(to, "failed") == 0 ||
	       (w->until_ready && (strcmp(to, "ready") == 0 || strcmp(to, "detaching") == 0));
}

int session_wait(struct cli *cli, const char *id, enum session_wait until, usec_t timeout,
		 bool steps, json_t **ret, struct fault *fault)
{
	const struct timespec pause = { .tv_nsec = 200 * 1000000L };
	_cleanup_free_ char *path = rest_path("/v1/events?session=%s", id);
	_cleanup_free_ char *last_id = strdup("0"); /* from the session's first event on */
	struct watch w = { .cli = cli, .until_ready = until == SESSION_WAIT_READY, .steps = steps };
	usec_t end = clock_monotonic() + timeout;
	struct rest *rest;
	int r;

	r = path && last_id ? cli_rest(cli, &rest, fault) : -ENOMEM;
	while (r == 0) {
		_cleanup_(json_decrefp) json_t *session = NULL;
		usec_t now = clock_monotonic();

		r = rest_events(rest, path, &last_id, end > now ? end - now : 0, on_event, &w,
				fault);
		/* Who has as many feeds as he may asks again and again. */
		if (r == 0 || (r == -EREMOTEIO &&
			       (fault_code_transient(fault->code) || fault->code == FAULT_QUOTA))) {
			r = session_get(cli, id, &session, fault);
		}
		if (r < 0) {
			return r;
		}
		if (w.until_ready && (session_is_over(session) || state_is(session, "detaching"))) {
			return own_fault(session, fault);
		}
		if (session_is_over(session) || (w.until_ready && state_is(session, "ready"))) {
			if (ret) {
				*ret = TAKE_PTR(session);
			}
			return 0;
		}
		if (clock_monotonic() >= end) {
			return fault_set(fault, FAULT_TIMEOUT, "session %s is still %s", id,
					 json_text(session, "state"));
		}
		nanosleep(&pause, NULL);
	}
	return r;
}
