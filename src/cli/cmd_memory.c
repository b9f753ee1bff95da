/* SPDX-License-Identifier: Apache-2.0 */
/* dvm memory: the live memory of targets in the D-VM. */
#include <string.h>

#include "attachment.h"
#include "commands.h"
#include "view.h"

static void say_attached(const json_t *a)
{
	printf("the memory of %s is in the D-VM: /dev/target-memory.%s\n", json_text(a, "target"),
	       json_text(a, "target"));
}

static void say_detached(const json_t *a)
{
	printf("the memory of %s is no longer in the D-VM\n", json_text(a, "target"));
}

static int run_attach(struct cli *cli, const struct args *args, struct fault *fault)
{
	return attachment_make(cli, args, "memory", "ro", args_word(args, 1), say_attached, fault);
}

const struct command cmd_memory_attach = {
	.name = "memory attach",
	.words = "SESSION [VM]",
	.summary = "give the D-VM the live memory of a running target, to be read",
	.text = "Without VM: the session's first target, which need not be prepared and does not "
		"stop. In the D-VM /dev/target-memory.NAME (for the first target also "
		"/dev/target-memory) is a disk that is an ELF core of what is in the memory now: "
		"crash, drgn, gdb and makedumpfile open it as a dump of the emulator. The "
		"registers of its vCPUs are those of the moment in which they are read. Needs the "
		"right `memory`."
		"\n\n"
		"While the target is off, reading fails; when it is started again the memory is "
		"there again. Memory that was plugged in later is there after `dvm memory detach` "
		"and `attach`.",
	.options = options_json,
	.run = run_attach,
};

static int run_detach(struct cli *cli, const struct args *args, struct fault *fault)
{
	return attachment_drop(cli, args, "memory", args_word(args, 1), say_detached, fault);
}

const struct command cmd_memory_detach = {
	.name = "memory detach",
	.words = "SESSION [VM]",
	.summary = "take the memory away from the D-VM",
	.options = options_json,
	.run = run_detach,
};

static bool is_memory(const char *kind)
{
	return strcmp(kind, "memory") == 0;
}

static int run_list(struct cli *cli, const struct args *args, struct fault *fault)
{
	return attachment_list(cli, args, is_memory, fault);
}

const struct command cmd_memory_list = {
	.name = "memory list",
	.words = "SESSION",
	.summary = "list the targets whose memory the D-VM has, or had",
	.options = options_json,
	.run = run_list,
};
