/* SPDX-License-Identifier: Apache-2.0 */
/* dvm boot: how a VM starts the next time. */
#include "cleanup.h"
#include "commands.h"
#include "view.h"

static int run(struct cli *cli, const struct args *args, struct fault *fault)
{
	const char *vm = args_word(args, 0);
	bool hold = args_has(args, "hold"), off = args_has(args, "no-hold");
	_cleanup_free_ char *path = rest_path("/v1/vms/%s/actions", vm);
	_cleanup_(json_decrefp) json_t *done = NULL;
	int r;

	if (!path) {
		return -ENOMEM;
	}
	if (hold == off) {
		return fault_set(fault, FAULT_BAD_VALUE, "give --hold or --no-hold");
	}
	r = cli_call(cli, "POST", path, json_pack("{s:s}", "action", hold ? "hold" : "unhold"),
		     &done, fault);
	if (r < 0) {
		return r;
	}
	if (args_has(args, "json")) {
		return cli_print_json(done);
	}
	printf(hold ? "%s: its next start or reset stops before the first instruction\n"
		    : "%s: starts as ever\n",
	       vm);
	return 0;
}

static const struct option_def options[] = {
	{ "hold", 'H', NULL, "the next start or reset stops the VM before its first instruction" },
	{ "no-hold", 'n', NULL, "take that back" },
	OPTION_JSON,
	OPTION_END,
};

const struct command cmd_boot = {
	.name = "boot",
	.words = "VM",
	.summary = "how a VM starts the next time",
	.text = "With --hold the next dvm power on or dvm power reset of the VM leaves it paused "
		"before "
		"its first instruction, its console connected: dvm gdb VM is at the reset vector "
		"then, "
		"and dvm power resume VM lets it go. It counts once. What the guest does itself, a "
		"reboot, is not held.",
	.options = options,
	.run = run,
};
