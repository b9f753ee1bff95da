/* SPDX-License-Identifier: Apache-2.0 */
/* target info: the session as the control plane has it; what the agent knows when that cannot be
 * asked. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "client.h"
#include "target.h"

static const char *text_of(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "-";
}

static void print_list(const char *title, const json_t *list, const char *key)
{
	const json_t *item;
	size_t i;

	printf("%-12s", title);
	json_array_foreach(list, i, item)
	{
		printf("%s%s", i ? ", " : "", key ? text_of(item, key) : json_string_value(item));
	}
	printf("%s\n", json_array_size(list) ? "" : "none");
}

static const char *target_name(const json_t *session, const char *vm)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(session, "targets"), i, item)
	{
		if (strcmp(text_of(item, "vm"), vm) == 0) {
			return text_of(item, "name");
		}
	}
	return vm;
}

static void print_attachments(const json_t *session)
{
	const json_t *item, *device;
	bool any = false;
	size_t i, j;

	json_array_foreach(json_object_get(session, "attachments"), i, item)
	{
		const char *mode = text_of(item, "mode");

		if (strcmp(text_of(item, "state"), "gone") == 0) {
			continue;
		}
		printf("%-12s%s of %s, %s%s%s", any ? "" : "attached", text_of(item, "kind"),
		       target_name(session, text_of(item, "vm")), text_of(item, "state"),
		       mode[0] == '-' ? "" : ", ", mode[0] == '-' ? "" : mode);
		json_array_foreach(json_object_get(item, "devices"), j, device)
		{
			const char *serial = json_string_value(device);
			const char *dash = serial ? strchr(serial, '-') : NULL;

			printf("%s%s", j ? " " : ": ", dash ? dash + 1 : serial ? serial : "?");
		}
		printf("\n");
		any = true;
	}
	if (!any) {
		printf("%-12snone\n", "attached");
	}
}

static void print_session(const json_t *session)
{
	printf("%-12s%s, %s\n", "session", text_of(session, "id"), text_of(session, "state"));
	printf("%-12s%s, project %s\n", "owner", text_of(session, "owner"),
	       text_of(session, "project"));
	print_list("targets", json_object_get(session, "targets"), "name");
	print_list("stacks", json_object_get(session, "stacks"), NULL);
	printf("%-12suntil %s\n", "lease", text_of(session, "lease_expires"));
	print_attachments(session);
}

static void print_agent(const json_t *agent)
{
	const json_t *lease = json_object_get(agent, "lease_seconds");

	printf("%-12s%s\n", "session", text_of(agent, "session"));
	print_list("targets", json_object_get(agent, "targets"), NULL);
	print_list("stacks", json_object_get(agent, "stacks"), NULL);
	if (json_is_integer(lease)) {
		printf("%-12s%lld s left\n", "lease", (long long)json_integer_value(lease));
	}
}

int cmd_info(const struct command *c, struct invocation *in)
{
	_cleanup_free_ char *text = NULL;
	struct fault fault = { 0 };
	bool from_agent = false;
	json_t *root;

	if (client_verb("info", &text, &fault) < 0) {
		struct fault second = { 0 };

		/* better a little than nothing: the agent keeps what it was told last */
		if (client_agent(&text, &second) < 0) {
			return complain(&fault);
		}
		fprintf(stderr, "target: %s; this is what was known before\n", fault.message);
		from_agent = true;
	}
	root = json_loads(text, 0, NULL);
	if (!root) {
		fault_set(&fault, FAULT_PROTOCOL, "the answer makes no sense");
		return complain(&fault);
	}
	if (in->json) {
		json_dumpf(root, stdout, JSON_INDENT(2));
		printf("\n");
	} else if (from_agent) {
		print_agent(root);
	} else {
		print_session(root);
	}
	json_decref(root);
	return from_agent ? fault_code_exit_status(fault.code) : 0;
}
