/* SPDX-License-Identifier: Apache-2.0 */
/* dvm port: targets' serial and parallel ports as devices of the D-VM. */
#include <string.h>

#include "attachment.h"
#include "cleanup.h"
#include "commands.h"
#include "view.h"

#define PORTS "serial0|serial1|serial2|serial3|parallel0"

static void say_attached(const json_t *a)
{
	_cleanup_free_ char *devices = view_names(json_object_get(a, "devices"));

	printf("%s of %s (%s) in the D-VM: /dev/target/%s/%s\n", json_text(a, "kind"),
	       json_text(a, "target"), json_text(a, "mode"), json_text(a, "target"),
	       devices ? devices : "?");
}

static void say_detached(const json_t *a)
{
	printf("%s of %s is no longer in the D-VM\n", json_text(a, "kind"), json_text(a, "target"));
}

static int run_attach(struct cli *cli, const struct args *args, struct fault *fault)
{
	return attachment_make(cli, args, args_word(args, 1),
			       args_has(args, "read-only") ? "ro" : "rw", args_word(args, 2),
			       say_attached, fault);
}

static const struct option_def attach_options[] = {
	{ "read-only", 'r', NULL, "only listen: what is sent there in the D-VM is dropped" },
	OPTION_JSON,
	OPTION_END,
};

const struct command cmd_port_attach = {
	.name = "port attach",
	.words = "SESSION " PORTS " [VM]",
	.summary = "give the D-VM a port of a target, as a device",
	.text = "Without VM: the session's first target. A serial port is a tty in the D-VM, "
		"/dev/target/NAME/ttyS0 and so on, for any program that speaks to one (picocom, "
		"minicom, screen, kermit, gdb). A parallel port is /dev/target/NAME/lp0, which "
		"gives "
		"what the target prints. The target may be running, or off. serial0 is, as a rule, "
		"the console: whoever else watches it goes on to, and what is sent from the D-VM "
		"takes the typing over."
		"\n\n"
		"A device has no memory: what the D-VM does not read is lost after some 64 KiB, "
		"the oldest first. dvm console and target console have every byte.",
	.options = attach_options,
	.run = run_attach,
};

static int run_detach(struct cli *cli, const struct args *args, struct fault *fault)
{
	return attachment_drop(cli, args, args_word(args, 1), args_word(args, 2), say_detached,
			       fault);
}

const struct command cmd_port_detach = {
	.name = "port detach",
	.words = "SESSION " PORTS " [VM]",
	.summary = "take a port away from the D-VM",
	.options = options_json,
	.run = run_detach,
};

static bool is_port(const char *kind)
{
	return strncmp(kind, "serial", strlen("serial")) == 0 ||
	       strncmp(kind, "parallel", strlen("parallel")) == 0;
}

static int run_list(struct cli *cli, const struct args *args, struct fault *fault)
{
	return attachment_list(cli, args, is_port, fault);
}

const struct command cmd_port_list = {
	.name = "port list",
	.words = "SESSION",
	.summary = "list the ports that the D-VM has of its targets",
	.options = options_json,
	.run = run_list,
};
