/* SPDX-License-Identifier: Apache-2.0 */
/* dvm image: what D-VMs are made from. */
#include <signal.h>
#include <string.h>

#include "cleanup.h"
#include "commands.h"
#include "parse.h"
#include "state.h"
#include "view.h"

static const struct view_column columns[] = {
	{ "NAME", "name" },
	{ "ID", "id", view_id },
	{ "DEFAULT", "default" },
	{ "MADE", "created", view_time },
	{ "SIZE", "size_bytes", view_size },
	{ "STACKS", "stacks", view_names },
	VIEW_END,
};

static json_t *stack_line(const json_t *stack)
{
	_cleanup_free_ char *size = view_size(json_object_get(stack, "size_bytes"));

	return json_sprintf("%s (%s)", json_text(stack, "name"), size ? size : "?");
}

static char *stacks(const json_t *value)
{
	return view_lines(value, stack_line);
}

static const struct view_column show_columns[] = {
	{ "name", "name" },
	{ "id", "id" },
	{ "default", "default" },
	{ "made", "created", view_time },
	{ "size", "size_bytes", view_size },
	{ "stacks", "stacks", stacks },
	VIEW_END,
};

static int run_list(struct cli *cli, const struct args *args, struct fault *fault)
{
	return view_listing(cli, args, cli_items, "/v1/images", columns, fault);
}

const struct command cmd_image_list = {
	.name = "image list",
	.words = "",
	.summary = "list D-VM images",
	.options = options_json,
	.run = run_list,
};

static int run_show(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_free_ char *path = rest_path("/v1/images/%s", args_word(args, 0));
	_cleanup_(json_decrefp) json_t *image = NULL;
	int r;

	r = cli_call(cli, "GET", path, NULL, &image, fault);
	if (r < 0) {
		return r;
	}
	return args_has(args, "json") ? cli_print_json(image)
				      : view_object(cli, image, show_columns);
}

const struct command cmd_image_show = {
	.name = "image show",
	.words = "IMAGE",
	.summary = "show one image and its stacks",
	.text = "IMAGE is its id, the first 8 characters of it or more, or its name.",
	.options = options_json,
	.run = run_show,
};

static int run_build(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_free_ char *state = NULL;
	_cleanup_free_ char *out = NULL;
	_cleanup_free_ char *recipe = NULL;
	const char *argv[8];
	size_t n = 0;
	int r;

	r = state_dir(args_value(args, "state"), &state, fault);
	if (r == 0) {
		r = state_program("image/build", &recipe, fault);
	}
	if (r < 0) {
		return r;
	}
	out = strf("%s/images", state);
	if (!out) {
		return -ENOMEM;
	}
	argv[n++] = recipe;
	argv[n++] = "--out";
	argv[n++] = out;
	if (args_value(args, "name")) {
		argv[n++] = "--name";
		argv[n++] = args_value(args, "name");
	}
	if (args_value(args, "stack")) {
		argv[n++] = "--stack";
		argv[n++] = args_value(args, "stack");
	}
	argv[n] = NULL;
	signal(SIGPIPE, SIG_DFL);
	execv(recipe, (char *const *)argv);
	return fault_set(fault, FAULT_NOT_SUPPORTED, "cannot start the image recipe: %s",
			 strerror(errno));
}

static const struct option_def build_options[] = {
	{ "name", 'n', "NAME", "what to call it (default: default)" },
	{ "stack", 's', "A,B", "the stacks to build (default: all there are)" },
	{ "state", 0, "DIR", "the state folder to put it in" },
	OPTION_END,
};

const struct command cmd_image_build = {
	.name = "image build",
	.words = "",
	.summary = "build a D-VM image from Debian's packages, on this machine",
	.text = "For whoever runs dvm. The image is named by its content and verified at each use; "
		"a name points to the "
		"newest one built under it.",
	.options = build_options,
	.run = run_build,
};
