/* SPDX-License-Identifier: Apache-2.0 */
/* dvm session: list, show, end, renew, timeline. */
#include <string.h>

#include "cleanup.h"
#include "commands.h"
#include "event_text.h"
#include "parse.h"
#include "session.h"
#include "view.h"

/* Ending means giving disks back and removing the D-VM; a guest that does not let go is forced
 * after a while. */
#define END_TIMEOUT (180 * USEC_PER_SEC)

static const struct view_column list_columns[] = {
	{ "SESSION", "id" },
	{ "STATE", "state" },
	{ "TARGETS", "targets", view_names },
	{ "STACKS", "stacks", view_names },
	{ "OWNER", "owner" },
	{ "SINCE", "state_at", view_time },
	{ "LEASE", "lease_expires", view_lease },
	VIEW_END,
};

static const struct view_column list_all_columns[] = {
	{ "SESSION", "id" },
	{ "STATE", "state" },
	{ "TARGETS", "targets", view_names },
	{ "STACKS", "stacks", view_names },
	{ "OWNER", "owner" },
	{ "SINCE", "created", view_time },
	{ "ENDED", "ended", view_time },
	{ "FAULT", "fault.message" },
	VIEW_END,
};

static json_t *attachment_line(const json_t *a)
{
	return json_sprintf("%s of %s (%s, %s)", json_text(a, "kind"), json_text(a, "vm"),
			    json_text(a, "mode"), json_text(a, "state"));
}

static char *attachments(const json_t *value)
{
	return view_lines(value, attachment_line);
}

static const struct view_column show_columns[] = {
	{ "session", "id" },
	{ "state", "state" },
	{ "address", "address" },
	{ "targets", "targets", view_names },
	{ "stacks", "stacks", view_names },
	{ "attachments", "attachments", attachments },
	{ "owner", "owner" },
	{ "project", "project" },
	{ "image", "image", view_id },
	{ "host key", "host_key" },
	{ "since", "created", view_time },
	{ "ready", "ready_at", view_time },
	{ "lease left", "lease_expires", view_lease },
	{ "ended", "ended", view_time },
	{ "because", "end_reason" },
	{ "fault", "fault.message" },
	VIEW_END,
};

static int run_list(struct cli *cli, const struct args *args, struct fault *fault)
{
	const char *project = args_value(args, "project");
	const char *all = args_has(args, "all") ? "true" : "false";
	_cleanup_free_ char *path =
		project ? rest_path("/v1/sessions?all=%s&project=%s", all, project)
			: rest_path("/v1/sessions?all=%s", all);

	return view_listing(cli, args, cli_list, path,
			    args_has(args, "all") ? list_all_columns : list_columns, fault);
}

static const struct option_def list_options[] = {
	{ "all", 'a', NULL, "also sessions that have ended" },
	{ "project", 'p', "PROJECT", "only sessions of this project" },
	OPTION_JSON,
	OPTION_END,
};

const struct command cmd_session_list = {
	.name = "session list",
	.words = "",
	.summary = "list sessions",
	.options = list_options,
	.run = run_list,
};

/* Attachments name their target by id; people know it by its name. */
static void name_attachments(json_t *session)
{
	json_t *a, *target;
	size_t i, k;

	json_array_foreach(json_object_get(session, "attachments"), i, a)
	{
		json_array_foreach(json_object_get(session, "targets"), k, target)
		{
			if (json_equal(json_object_get(a, "vm"), json_object_get(target, "vm"))) {
				json_object_set(a, "vm", json_object_get(target, "name"));
				break;
			}
		}
	}
}

static int show(struct cli *cli, const struct args *args, json_t *session)
{
	if (args_has(args, "json")) {
		return cli_print_json(session);
	}
	name_attachments(session);
	return view_object(cli, session, show_columns);
}

static int run_show(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_(json_decrefp) json_t *session = NULL;
	int r;

	r = session_get(cli, args_word(args, 0), &session, fault);
	return r < 0 ? r : show(cli, args, session);
}

const struct command cmd_session_show = {
	.name = "session show",
	.words = "SESSION",
	.summary = "show one session",
	.options = options_json,
	.run = run_show,
};

static int run_end(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_free_ char *id = NULL;
	_cleanup_free_ char *path = NULL;
	_cleanup_(json_decrefp) json_t *session = NULL;
	int r;

	r = session_id(args_word(args, 0), &id, fault);
	if (r < 0) {
		return r;
	}
	path = rest_path("/v1/sessions/%s", id);
	r = cli_call(cli, "DELETE", path, NULL, &session, fault);
	if (r < 0) {
		return r;
	}
	if (!args_has(args, "no-wait")) {
		json_decref(TAKE_PTR(session));
		r = session_wait(cli, id, SESSION_WAIT_ENDED, END_TIMEOUT, false, &session, fault);
		if (r < 0) {
			return r;
		}
	}
	if (args_has(args, "json")) {
		return cli_print_json(session);
	}
	printf("%s is %s\n", id, json_text(session, "state"));
	return 0;
}

static const struct option_def end_options[] = {
	{ "no-wait", 0, NULL, "do not wait until everything is given back" },
	OPTION_JSON,
	OPTION_END,
};

const struct command cmd_session_end = {
	.name = "session end",
	.words = "SESSION",
	.summary = "end a session and give everything back",
	.text = "Disks go back to their targets, the D-VM is removed; recordings and the audit "
		"stay.",
	.options = end_options,
	.run = run_end,
};

static int run_renew(struct cli *cli, const struct args *args, struct fault *fault)
{
	const char *lease = args_value(args, "lease");
	_cleanup_free_ char *id = NULL;
	_cleanup_free_ char *path = NULL;
	_cleanup_(json_decrefp) json_t *session = NULL;
	json_t *body = json_object();
	usec_t lease_usec;
	int r;

	if (lease) {
		r = parse_duration(lease, &lease_usec);
		if (r == 0 && lease_usec < USEC_PER_SEC) {
			r = -EINVAL;
		}
		if (r < 0) {
			json_decref(body);
			return fault_set(fault, FAULT_BAD_VALUE,
					 "--lease \"%.40s\" is not a time such as 90m or 2h",
					 lease);
		}
		json_object_set_new(body, "lease_s",
				    json_integer((json_int_t)(lease_usec / USEC_PER_SEC)));
	}
	r = session_id(args_word(args, 0), &id, fault);
	if (r < 0) {
		json_decref(body);
		return r;
	}
	path = rest_path("/v1/sessions/%s/renew", id);
	r = cli_call(cli, "POST", path, body, &session, fault);
	if (r < 0) {
		return r;
	}
	if (args_has(args, "json")) {
		return cli_print_json(session);
	}
	_cleanup_free_ char *left = view_lease(json_object_get(session, "lease_expires"));

	printf("%s: %s left\n", id, left ? left : "?");
	return 0;
}

static const struct option_def renew_options[] = {
	{ "lease", 'l', "TIME", "how long from now on, e.g. 90m or 2h (default: as at the start)" },
	OPTION_JSON,
	OPTION_END,
};

const struct command cmd_session_renew = {
	.name = "session renew",
	.words = "SESSION",
	.summary = "give a session's lease a new end",
	.options = renew_options,
	.run = run_renew,
};

static const struct view_column timeline_columns[] = {
	{ "AFTER", "after" },
	{ "TIME", "at", view_time },
	{ "WHAT", "text" },
	VIEW_END,
};

/* Adds to each event what people want to read: its time since the first, and a sentence. */
static int explain(json_t *events)
{
	usec_t start = 0, at;
	json_t *event;
	size_t i;

	json_array_foreach(events, i, event)
	{
		_cleanup_free_ char *text = event_text(event);

		if (view_parse_time(json_text(event, "at"), &at) < 0) {
			at = start;
		}
		start = i == 0 ? at : start;
		if (!text || json_object_set_new(event, "text", json_string(text)) < 0 ||
		    json_object_set_new(
			    event, "after",
			    json_sprintf("%.3f s", (double)(at - start) / USEC_PER_SEC)) < 0) {
			return -ENOMEM;
		}
	}
	return 0;
}

static int run_timeline(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_free_ char *id = NULL;
	_cleanup_free_ char *path = NULL;
	_cleanup_(json_decrefp) json_t *events = NULL;
	int r;

	r = session_id(args_word(args, 0), &id, fault);
	if (r < 0) {
		return r;
	}
	path = rest_path("/v1/sessions/%s/timeline", id);
	r = cli_list(cli, path, &events, fault);
	if (r < 0) {
		return r;
	}
	if (args_has(args, "json")) {
		return cli_print_json(events);
	}
	r = explain(events);
	return r < 0 ? r : view_list(cli, events, timeline_columns);
}

const struct command cmd_session_timeline = {
	.name = "session timeline",
	.words = "SESSION",
	.summary = "show what happened in a session, and when",
	.options = options_json,
	.run = run_timeline,
};
