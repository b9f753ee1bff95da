/* SPDX-License-Identifier: Apache-2.0 */
/* dvm disk: targets' disks in the D-VM. */
#include "attachment.h"
#include "cleanup.h"
#include "commands.h"
#include "view.h"

static void say_attached(const json_t *a)
{
	_cleanup_free_ char *devices = view_names(json_object_get(a, "devices"));

	printf("%s (%s) in the D-VM: %s, under /dev/target/%s\n", json_text(a, "target"),
	       json_text(a, "mode"), devices ? devices : "?", json_text(a, "target"));
}

static void say_detached(const json_t *a)
{
	printf("%s has its disk back\n", json_text(a, "target"));
}

static int run_attach(struct cli *cli, const struct args *args, struct fault *fault)
{
	return attachment_make(cli, args, "disk", args_has(args, "rw") ? "rw" : "ro",
			       args_word(args, 1), say_attached, fault);
}

static const struct option_def attach_options[] = {
	{ "rw", 'w', NULL, "for writing; the target must be off, and stays off as long" },
	OPTION_JSON,
	OPTION_END,
};

const struct command cmd_disk_attach = {
	.name = "disk attach",
	.words = "SESSION [VM]",
	.summary = "give a target's disks to the D-VM",
	.text = "Without VM: the session's first target. In the D-VM they are "
		"/dev/target/NAME/DEV.",
	.options = attach_options,
	.run = run_attach,
};

static int run_detach(struct cli *cli, const struct args *args, struct fault *fault)
{
	return attachment_drop(cli, args, "disk", args_word(args, 1), say_detached, fault);
}

const struct command cmd_disk_detach = {
	.name = "disk detach",
	.words = "SESSION [VM]",
	.summary = "give the disks back to their target",
	.text = "Unmount them in the D-VM first.",
	.options = options_json,
	.run = run_detach,
};

static int run_list(struct cli *cli, const struct args *args, struct fault *fault)
{
	return attachment_list(cli, args, NULL, fault);
}

const struct command cmd_disk_list = {
	.name = "disk list",
	.words = "SESSION",
	.summary = "list what the D-VM holds of its targets",
	.options = options_json,
	.run = run_list,
};
