/* SPDX-License-Identifier: Apache-2.0 */
/* dvm vm: the inventory. */
#include <string.h>

#include "cleanup.h"
#include "commands.h"
#include "parse.h"
#include "view.h"

static char *fenced(const json_t *value)
{
	return strdup(json_is_true(value) ? "fenced" : "");
}

static const struct view_column list_columns[] = {
	{ "NAME", "name" },
	{ "ID", "id" },
	{ "PROJECT", "project" },
	{ "STATE", "state" },
	{ "SINCE", "state_at", view_time },
	{ "FENCE", "fenced", fenced },
	{ "SESSION", "session" },
	{ "DEBUGGER", "debugger" },
	VIEW_END,
};

static char *disks(const json_t *value)
{
	json_t *names = json_array(), *disk;
	char *text = NULL;
	size_t i;

	json_array_foreach((json_t *)value, i, disk)
	{
		_cleanup_free_ char *size = view_size(json_object_get(disk, "size_bytes"));
		const char *dev = json_text(disk, "dev"), *kind = json_text(disk, "kind");
		json_t *line;

		if (!size || !dev || !kind) {
			json_decref(names);
			return NULL;
		}
		line = json_sprintf("%s (%s, %s)", dev, kind, size);
		if (!line || json_array_append_new(names, line) < 0) {
			json_decref(names);
			return NULL;
		}
	}
	text = view_names(names);
	json_decref(names);
	return text;
}

static char *consoles(const json_t *value)
{
	json_t *console;
	size_t i;

	json_array_foreach((json_t *)value, i, console)
	{
		if (json_is_true(json_object_get(console, "usable"))) {
			return strf("yes (%s)",
				    json_text(console, "type") ? json_text(console, "type") : "?");
		}
	}
	return strf("%s", "none that can be opened");
}

static char *history(const json_t *value)
{
	const char *stopped = json_text(value, "stopped");
	_cleanup_free_ char *size = view_size(json_object_get(value, "bytes"));
	_cleanup_free_ char *since = NULL;

	if (!json_text(value, "since")) {
		return strf("nothing recorded%s%s", stopped ? "; stopped: " : "",
			    stopped ? stopped : "");
	}
	since = view_time(json_object_get(value, "since"));
	return size && since ? strf("%s since %s%s%s", size, since, stopped ? "; stopped: " : "",
				    stopped ? stopped : "")
			     : NULL;
}

static const struct view_column show_columns[] = {
	{ "name", "name" },
	{ "id", "id" },
	{ "project", "project" },
	{ "state", "state" },
	{ "session", "session" },
	{ "debugger", "debugger" },
	{ "held at start", "hold" },
	{ "since", "state_at", view_time },
	{ "fenced", "fenced" },
	{ "adopted", "created", view_time },
	{ "memory (MiB)", "hardware.memory_mib" },
	{ "vCPUs", "hardware.vcpus" },
	{ "disks", "hardware.disks", disks },
	{ "console", "hardware.consoles", consoles },
	{ "console history", "console_history" },
	{ "recorded", "history", history },
	{ "graphics", "hardware.graphics", view_names },
	VIEW_END,
};

static int run_list(struct cli *cli, const struct args *args, struct fault *fault)
{
	const char *project = args_value(args, "project");
	_cleanup_free_ char *path =
		project ? rest_path("/v1/vms?project=%s", project) : rest_path("/v1/vms");

	return view_listing(cli, args, cli_list, path, list_columns, fault);
}

static const struct option_def list_options[] = {
	{ "project", 'p', "PROJECT", "only VMs of this project" },
	OPTION_JSON,
	OPTION_END,
};

const struct command cmd_vm_list = {
	.name = "vm list",
	.words = "",
	.summary = "list the VMs in dvm's inventory",
	.options = list_options,
	.run = run_list,
};

static int run_show(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_free_ char *path = rest_path("/v1/vms/%s", args_word(args, 0));
	_cleanup_(json_decrefp) json_t *vm = NULL;
	int r;

	r = cli_call(cli, "GET", path, NULL, &vm, fault);
	if (r < 0) {
		return r;
	}
	return args_has(args, "json") ? cli_print_json(vm) : view_object(cli, vm, show_columns);
}

const struct command cmd_vm_show = {
	.name = "vm show",
	.words = "VM",
	.summary = "show one VM and its hardware",
	.options = options_json,
	.run = run_show,
};

static int run_adopt(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_(json_decrefp) json_t *vm = NULL;
	json_t *body;
	int r;

	body = json_pack("{s:s, s:s*, s:s*, s:s*}", "domain", args_word(args, 0), "name",
			 args_value(args, "name"), "project", args_value(args, "project"),
			 "console_history", args_has(args, "no-console-history") ? "none" : NULL);
	if (!body) {
		return fault_set(fault, FAULT_BAD_VALUE, "names must be UTF-8");
	}
	r = cli_call(cli, "POST", "/v1/vms", body, &vm, fault);
	if (r < 0) {
		return r;
	}
	if (args_has(args, "json")) {
		return cli_print_json(vm);
	}
	printf("%s is %s in project %s\n", args_word(args, 0), json_text(vm, "name"),
	       json_text(vm, "project"));
	return 0;
}

static const struct option_def adopt_options[] = {
	{ "name", 'n', "NAME", "what to call it; made from the domain's name without it" },
	{ "project", 'p', "PROJECT", "the project it belongs to (default: default)" },
	{ "no-console-history", 0, NULL, "keep nothing of what its console says (see dvm vm set)" },
	OPTION_JSON,
	OPTION_END,
};

const struct command cmd_vm_adopt = {
	.name = "vm adopt",
	.words = "DOMAIN",
	.summary = "take a libvirt domain into the inventory",
	.text = "DOMAIN is libvirt's name of it, or its UUID. Nothing of it is changed. From now "
		"on dvm keeps its "
		"console's text, so that what came before a hang can be read later, and records it "
		"(dvm record list VM).",
	.options = adopt_options,
	.run = run_adopt,
};

static int run_set(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_free_ char *path = rest_path("/v1/vms/%s/settings", args_word(args, 0));
	const char *history = args_value(args, "console-history");
	_cleanup_(json_decrefp) json_t *vm = NULL;
	int r;

	if (!history || (strcmp(history, "kept") != 0 && strcmp(history, "none") != 0)) {
		return fault_set(fault, FAULT_BAD_VALUE, "--console-history is kept or none");
	}
	r = cli_call(cli, "PUT", path, json_pack("{s:s}", "console_history", history), &vm, fault);
	if (r < 0) {
		return r;
	}
	if (args_has(args, "json")) {
		return cli_print_json(vm);
	}
	printf("%s: console history %s\n", json_text(vm, "name"), json_text(vm, "console_history"));
	return 0;
}

static const struct option_def set_options[] = {
	{ "console-history", 0, "kept|none", "whether what its console says is kept" },
	OPTION_JSON,
	OPTION_END,
};

const struct command cmd_vm_set = {
	.name = "vm set",
	.words = "VM",
	.summary = "change how dvm deals with a VM",
	.text = "With --console-history none what its console says is there for those who read at "
		"that time, and for nobody later; it is not recorded but in sessions that record "
		"it. "
		"What was kept until then is deleted. The console is drained all the same.",
	.options = set_options,
	.run = run_set,
};

static const struct view_column domain_columns[] = {
	{ "DOMAIN", "domain" },
	{ "STATE", "state" },
	VIEW_END,
};

static int run_domains(struct cli *cli, const struct args *args, struct fault *fault)
{
	return view_listing(cli, args, cli_items, "/v1/domains", domain_columns, fault);
}

const struct command cmd_vm_domains = {
	.name = "vm domains",
	.words = "",
	.summary = "list libvirt domains that could be adopted",
	.options = options_json,
	.run = run_domains,
};

static int run_release(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_free_ char *path = rest_path("/v1/vms/%s", args_word(args, 0));
	int r;

	r = cli_call(cli, "DELETE", path, NULL, NULL, fault);
	if (r < 0) {
		return r;
	}
	if (!args_has(args, "json")) {
		printf("%s is no longer in the inventory\n", args_word(args, 0));
		return 0;
	}
	_cleanup_(json_decrefp) json_t *done = json_pack("{s:s}", "released", args_word(args, 0));

	return done ? cli_print_json(done) : -ENOMEM;
}

const struct command cmd_vm_release = {
	.name = "vm release",
	.words = "VM",
	.summary = "take a VM out of the inventory",
	.text = "The VM itself goes on as it is.",
	.options = options_json,
	.run = run_release,
};
