/* SPDX-License-Identifier: Apache-2.0 */
/* Attachments of a session: what the D-VM holds of its targets. */
#include "attachment.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "clock.h"
#include "session.h"
#include "view.h"

#define SETTLE_TIMEOUT (120 * USEC_PER_SEC)

static const struct view_column columns[] = {
	{ "ID", "id" },
	{ "TARGET", "target" },
	{ "KIND", "kind" },
	{ "MODE", "mode" },
	{ "STATE", "state" },
	{ "DEVICES", "devices", view_names },
	{ "FAULT", "fault.message" },
	VIEW_END,
};

static bool is(const json_t *a, const char *key, const char *value)
{
	const char *s = json_text(a, key);

	return s && strcmp(s, value) == 0;
}

/* Adds the target's name to an attachment, which has its id only. */
static int add_target(const json_t *session, json_t *a)
{
	const char *vm = json_text(a, "vm"), *name = vm ? session_target(session, vm) : NULL;

	return json_object_set_new(a, "target",
				   json_string(name ? name
					       : vm ? vm
						    : "?")) < 0
		       ? -ENOMEM
		       : 0;
}

/* Asks until the attachment is no longer under way. Replaces *io_attachment. */
static int settle(struct cli *cli, const char *session, json_t **io_attachment, struct fault *fault)
{
	const struct timespec pause = { .tv_nsec = 100 * 1000000L };
	_cleanup_free_ char *path =
		rest_path("/v1/sessions/%s/attachments/%s", session,
			  json_text(*io_attachment, "id") ? json_text(*io_attachment, "id") : "");
	usec_t end = clock_monotonic() + SETTLE_TIMEOUT;

	while (is(*io_attachment, "state", "wanted") || is(*io_attachment, "state", "detaching")) {
		json_t *answer;
		int r;

		if (clock_monotonic() > end) {
			return fault_set(fault, FAULT_TIMEOUT, "it is %s, not yet done",
					 json_text(*io_attachment, "state"));
		}
		nanosleep(&pause, NULL);
		r = cli_call(cli, "GET", path, NULL, &answer, fault);
		if (r < 0) {
			return r;
		}
		json_decref(*io_attachment);
		*io_attachment = answer;
	}
	if (json_is_object(json_object_get(*io_attachment, "fault"))) {
		const json_t *f = json_object_get(*io_attachment, "fault");
		const char *message = json_text(f, "message"), *code = json_text(f, "code");

		fault_set(fault, fault_code_parse(code ? code : ""), "%s",
			  message ? message : "it failed");
		if (json_text(f, "hint")) {
			fault_hint(fault, "%s", json_text(f, "hint"));
		}
		return -EREMOTEIO;
	}
	return 0;
}

/* Waits until it is done and prints it. */
static int finish(struct cli *cli, const struct args *args, const json_t *session,
		  json_t **io_attachment, attachment_say_fn *say, struct fault *fault)
{
	int r;

	r = settle(cli, json_text(session, "id"), io_attachment, fault);
	if (r < 0) {
		return r;
	}
	if (args_has(args, "json")) {
		return cli_print_json(*io_attachment);
	}
	r = add_target(session, *io_attachment);
	if (r == 0) {
		say(*io_attachment);
	}
	return r;
}

int attachment_make(struct cli *cli, const struct args *args, const char *kind, const char *mode,
		    const char *vm, attachment_say_fn *say, struct fault *fault)
{
	_cleanup_(json_decrefp) json_t *session = NULL;
	_cleanup_(json_decrefp) json_t *a = NULL;
	_cleanup_free_ char *path = NULL;
	json_t *body;
	int r;

	r = session_get(cli, args_word(args, 0), &session, fault);
	if (r < 0) {
		return r;
	}
	path = rest_path("/v1/sessions/%s/attachments", json_text(session, "id"));
	body = json_pack("{s:s, s:s, s:s*}", "kind", kind, "mode", mode, "vm", vm);
	if (!body) {
		return fault_set(fault, FAULT_BAD_VALUE, "names must be UTF-8");
	}
	r = cli_call(cli, "POST", path, body, &a, fault);
	return r < 0 ? r : finish(cli, args, session, &a, say, fault);
}

/* The attachment of that kind of `vm` (NULL: the only one). */
static int find_attachment(const json_t *session, const char *kind, const char *vm,
			   const char **ret_id, struct fault *fault)
{
	const char *wanted = vm ? session_target(session, vm) : NULL, *found = NULL;
	json_t *a;
	size_t i;

	json_array_foreach(json_object_get(session, "attachments"), i, a)
	{
		const char *of =
			json_text(a, "vm") ? session_target(session, json_text(a, "vm")) : NULL;

		if (!is(a, "kind", kind) || is(a, "state", "gone") ||
		    (vm && (!of || !wanted || strcmp(of, wanted) != 0))) {
			continue;
		}
		if (found) {
			fault_set(fault, FAULT_BAD_VALUE, "the %s of several targets is attached",
				  kind);
			fault_hint(fault, "name the VM; dvm disk list %s shows them",
				   json_text(session, "id"));
			return -EREMOTEIO;
		}
		found = json_text(a, "id");
	}
	if (!found) {
		return fault_set(fault, FAULT_NOT_ATTACHED, "no %s%s%s is attached", kind,
				 vm ? " of " : "", vm ? vm : "");
	}
	*ret_id = found;
	return 0;
}

int attachment_drop(struct cli *cli, const struct args *args, const char *kind, const char *vm,
		    attachment_say_fn *say, struct fault *fault)
{
	_cleanup_(json_decrefp) json_t *session = NULL;
	_cleanup_(json_decrefp) json_t *a = NULL;
	_cleanup_free_ char *path = NULL;
	const char *id = NULL;
	int r;

	r = session_get(cli, args_word(args, 0), &session, fault);
	if (r == 0) {
		r = find_attachment(session, kind, vm, &id, fault);
	}
	if (r < 0) {
		return r;
	}
	path = rest_path("/v1/sessions/%s/attachments/%s", json_text(session, "id"), id);
	r = cli_call(cli, "DELETE", path, NULL, &a, fault);
	return r < 0 ? r : finish(cli, args, session, &a, say, fault);
}

int attachment_list(struct cli *cli, const struct args *args, attachment_match_fn *match,
		    struct fault *fault)
{
	_cleanup_(json_decrefp) json_t *session = NULL;
	_cleanup_(json_decrefp) json_t *items = json_array();
	json_t *a;
	size_t i;
	int r;

	r = session_get(cli, args_word(args, 0), &session, fault);
	if (r < 0) {
		return r;
	}
	json_array_foreach(json_object_get(session, "attachments"), i, a)
	{
		const char *kind = json_text(a, "kind");

		if (kind && (!match || match(kind)) && json_array_append(items, a) < 0) {
			return -ENOMEM;
		}
	}
	if (args_has(args, "json")) {
		return cli_print_json(items);
	}
	json_array_foreach(items, i, a)
	{
		r = add_target(session, a);
		if (r < 0) {
			return r;
		}
	}
	return view_list(cli, items, columns);
}
