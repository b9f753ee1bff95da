/* SPDX-License-Identifier: Apache-2.0 */
/* dvm events: what happens, as it happens. */
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "commands.h"
#include "event_text.h"
#include "parse.h"
#include "session.h"
#include "view.h"

struct watch {
	bool as_json;
	size_t left; /* events still wanted */
};

static int print_event(const char *type, const char *id, const char *data, void *user)
{
	struct watch *w = user;
	_cleanup_(json_decrefp) json_t *event = NULL;
	_cleanup_free_ char *at = NULL;
	_cleanup_free_ char *text = NULL;
	const char *object;

	if (w->as_json) {
		printf("%s\n", data);
	} else {
		event = json_loads(data, 0, NULL);
		if (!event) {
			return -EPROTO;
		}
		at = view_time(json_object_get(event, "at"));
		text = event_text(event);
		object = json_text(event, "session") ? json_text(event, "session")
						     : json_text(event, "vm");
		printf("%s  %-20s  %s\n", at ? at : "?", object ? object : "-", text ? text : "?");
	}
	if (fflush(stdout) == EOF) {
		return -EPIPE;
	}
	return --w->left == 0;
}

static int run(struct cli *cli, const struct args *args, struct fault *fault)
{
	const char *count = args_value(args, "count"), *after = args_value(args, "after");
	struct watch w = { .as_json = args_has(args, "json"), .left = SIZE_MAX };
	_cleanup_free_ char *session = NULL;
	_cleanup_free_ char *path = NULL;
	_cleanup_free_ char *last_id = NULL;
	struct rest *rest;
	uint64_t number;
	int r;

	if (args_value(args, "session")) {
		r = session_id(args_value(args, "session"), &session, fault);
		if (r < 0) {
			return r;
		}
	}
	if (count) {
		if (parse_u64(count, &number) < 0 || number == 0) {
			return fault_set(fault, FAULT_BAD_VALUE,
					 "--count \"%.40s\" is not a number", count);
		}
		w.left = number;
	}
	if (after) {
		if (parse_u64(after, &number) < 0) {
			return fault_set(fault, FAULT_BAD_VALUE,
					 "--after \"%.40s\" is not a number", after);
		}
		last_id = strdup(after);
		if (!last_id) {
			return -ENOMEM;
		}
	}
	path = session ? rest_path("/v1/events?session=%s", session) : rest_path("/v1/events");
	r = cli_rest(cli, &rest, fault);
	if (r < 0) {
		return r;
	}
	if (!path) {
		return -ENOMEM;
	}
	/* A reader comes back with the last id it saw, so nothing is missed when dvm restarts in
	 * between. */
	for (unsigned failures = 0; w.left > 0;) {
		const struct timespec pause = { .tv_sec = 1 };
		size_t before = w.left;

		r = rest_events(rest, path, &last_id, USEC_INFINITY, print_event, &w, fault);
		failures = w.left != before ? 0 : failures + 1;
		if (r < 0 &&
		    (r != -EREMOTEIO || !fault_code_transient(fault->code) || failures > 30)) {
			return r;
		}
		if (w.left > 0) {
			nanosleep(&pause, NULL);
		}
	}
	return 0;
}

static const struct option_def options[] = {
	{ "session", 's', "SESSION", "only those of this session" },
	{ "after", 0, "ID", "also what came after this event" },
	{ "count", 'n', "N", "end after so many" },
	{ "json", 0, NULL, "print JSON, an object a line" },
	OPTION_END,
};

const struct command cmd_events = {
	.name = "events",
	.words = "",
	.summary = "watch what happens, as it happens",
	.options = options,
	.run = run,
};
