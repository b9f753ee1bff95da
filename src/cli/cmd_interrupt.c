/* SPDX-License-Identifier: Apache-2.0 */
/* dvm nmi, dvm sysrq: what wakes a kernel that hears nothing else. */
#include <string.h>

#include "cleanup.h"
#include "commands.h"
#include "parse.h"
#include "view.h"

static int run_nmi(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_free_ char *path = rest_path("/v1/vms/%s/actions", args_word(args, 0));
	_cleanup_(json_decrefp) json_t *done = NULL;
	int r = cli_call(cli, "POST", path, json_pack("{s:s}", "action", "nmi"), &done, fault);

	return r == 0 && args_has(args, "json") ? cli_print_json(done) : r;
}

const struct command cmd_nmi = {
	.name = "nmi",
	.words = "VM",
	.summary = "send a VM a non-maskable interrupt",
	.text = "What it does with it is its kernel's affair: with kernel.unknown_nmi_panic=1 a "
		"Linux "
		"panics, which makes one that hangs with its interrupts off say where. The same as "
		"dvm power nmi.",
	.options = options_json,
	.run = run_nmi,
};

/* What `dvm console` does with these words. */
static int on_console(struct cli *cli, const char *vm, const char *key, struct fault *fault)
{
	char *argv[] = { (char *)vm,	   (char *)"--sysrq", (char *)key,
			 (char *)"--live", (char *)"--take",  NULL };
	struct args args;
	int r = args_parse(cmd_console.options, SIZE_MAX, 5, argv, &args, fault);

	if (r == 0) {
		r = cmd_console.run(cli, &args, fault);
		args_fini(&args);
	}
	return r;
}

static int on_keyboard(struct cli *cli, const char *vm, const char *key, struct fault *fault)
{
	_cleanup_free_ char *path = rest_path("/v1/vms/%s/keys", vm);
	_cleanup_(json_decrefp) json_t *done = NULL;
	_cleanup_free_ char *chord = strf("alt-sysrq-%s", key);

	if (!chord) {
		return -ENOMEM;
	}
	return cli_call(cli, "POST", path, json_pack("{s:[s]}", "keys", chord), &done, fault);
}

static int run_sysrq(struct cli *cli, const struct args *args, struct fault *fault)
{
	const char *vm = args_word(args, 0), *key = args_word(args, 1);

	if (strlen(key) != 1 || key[0] <= ' ' || key[0] > '~') {
		fault_set(fault, FAULT_BAD_VALUE, "\"%.20s\" is not one key", key);
		fault_hint(fault, "dvm sysrq %s h lists them", vm);
		return -EREMOTEIO;
	}
	return args_has(args, "keyboard") ? on_keyboard(cli, vm, key, fault)
					  : on_console(cli, vm, key, fault);
}

static const struct option_def sysrq_options[] = {
	{ "keyboard", 'k', NULL,
	  "at its keyboard, as alt-sysrq-KEY, instead of its serial console" },
	OPTION_END,
};

const struct command cmd_sysrq = {
	.name = "sysrq",
	.words = "VM KEY",
	.summary = "ask a VM's Linux for something by its SysRq key",
	.text = "A serial break on the VM's console and then KEY, which takes the writing over; "
		"what "
		"the kernel answers is printed: h lists the keys, t all tasks, w those that are "
		"blocked, l what each CPU does, c panics. The guest decides what it allows "
		"(kernel.sysrq). Needs the right `type`.",
	.options = sysrq_options,
	.run = run_sysrq,
};
