/* SPDX-License-Identifier: Apache-2.0 */
/* target info: the session as the control plane has it; what the agent knows when that cannot be
 * asked; and the target's kernel, where its memory is here. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "client.h"
#include "show_system.h"
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

/* Of a dump there is no session to tell about. */
static int info_of_core(struct invocation *in)
{
	struct fault fault = { 0 };
	struct kernel *k;

	if (memory_open(in, &k, &fault) < 0) {
		return complain(&fault);
	}
	if (in->json) {
		json_t *root = json_pack("{s:o}", "kernel", show_system_json(k));

		json_dumpf(root, stdout, JSON_INDENT(2));
		printf("\n");
		json_decref(root);
	} else {
		show_system(k);
	}
	kernel_free(k);
	return 0;
}

/* The session is what was asked for: that the memory cannot be read now is no failure. */
static struct kernel *open_memory(struct invocation *in)
{
	struct kernel *k;

	return memory_is_here(in) && memory_open(in, &k, NULL) == 0 ? k : NULL;
}

int cmd_info(const struct command *c, struct invocation *in)
{
	_cleanup_free_ char *text = NULL;
	struct fault fault = { 0 };
	bool from_agent = false;
	struct kernel *k;
	json_t *root;

	if (in->core) {
		return info_of_core(in);
	}
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
	k = open_memory(in);
	if (in->json) {
		if (k) {
			json_object_set_new(root, "kernel", show_system_json(k));
		}
		json_dumpf(root, stdout, JSON_INDENT(2));
		printf("\n");
	} else if (from_agent) {
		print_agent(root);
	} else {
		print_session(root);
	}
	if (k && !in->json) {
		show_system(k);
	}
	kernel_free(k);
	json_decref(root);
	return from_agent ? fault_code_exit_status(fault.code) : 0;
}
