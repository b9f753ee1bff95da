/* SPDX-License-Identifier: Apache-2.0 */
/* One event of the API as a short sentence. */
#include "event_text.h"

#include <string.h>

#include "cleanup.h"
#include "parse.h"
#include "table.h"
#include "view.h"

static char *join(const char *what, const char *more)
{
	return more && more[0] ? strf("%s: %s", what, more) : strdup(what);
}

static char *attachment_text(const json_t *data)
{
	_cleanup_free_ char *devices = view_names(json_object_get(data, "devices"));
	const char *kind = json_text(data, "kind"), *mode = json_text(data, "mode"),
		   *state = json_text(data, "state");

	if (!devices || !kind || !mode || !state) {
		return NULL;
	}
	return strf("%s %s (%s%s%s)", kind, state, mode, devices[0] ? ", " : "", devices);
}

static char *debugger_text(const json_t *data)
{
	const char *state = json_text(data, "state");

	if (json_is_true(json_object_get(data, "expired"))) {
		return strdup("A debugger said nothing for too long: the VM runs on");
	}
	if (state && strcmp(state, "stopped") == 0) {
		return strdup("A debugger has stopped the VM");
	}
	return strdup(state && strcmp(state, "running") == 0 ? "The VM runs, under a debugger"
							     : "No debugger is attached any more");
}

static char *raw_text(const json_t *event)
{
	const char *type = json_text(event, "type"), *to = NULL, *step = NULL;
	const json_t *data = json_object_get(event, "data");
	char *text = NULL;

	type = type ? type : "?";
	to = json_text(data, "to");
	step = json_text(data, "step");
	if (strcmp(type, "session.state") == 0 && to) {
		return join(to, json_text(json_object_get(data, "fault"), "message"));
	}
	if (strcmp(type, "session.progress") == 0 && step) {
		return join(step, json_text(data, "detail"));
	}
	if (strcmp(type, "session.host-key") == 0) {
		return strdup("The debug VM was started anew: it has another host key");
	}
	if (strcmp(type, "vm.debugger") == 0) {
		return debugger_text(data);
	}
	if (strcmp(type, "vm.panicked") == 0 && json_text(data, "text")) {
		return strf("panicked: %s. Its memory is as it was then until it is started anew: "
			    "dvm memory attach",
			    json_text(data, "text"));
	}
	if (strcmp(type, "attachment.state") == 0) {
		text = attachment_text(data);
	}
	if (!text && json_object_size(data) > 0) {
		_cleanup_free_ char *members = json_dumps(data, JSON_COMPACT);

		return members ? strf("%s %s", type, members) : NULL;
	}
	return text ? text : strdup(type);
}

char *event_text(const json_t *event)
{
	_cleanup_free_ char *text = raw_text(event);

	return text ? text_clean(text) : NULL;
}
