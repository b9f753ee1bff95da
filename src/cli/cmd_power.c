/* SPDX-License-Identifier: Apache-2.0 */
/* dvm power: a VM's power and interrupts, through the cloud. */
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "clock.h"
#include "commands.h"
#include "parse.h"
#include "view.h"

#define WAIT_DEFAULT (120 * USEC_PER_SEC)

/* What a verb leads to; NULL: nothing to wait for. */
static const struct {
	const char *verb, *state;
} verbs[] = {
	{ "on", "running" }, { "off", "off" },	    { "shutdown", "off" },   { "reboot", NULL },
	{ "reset", NULL },   { "pause", "paused" }, { "resume", "running" }, { "nmi", NULL },
};

static int wait_for(struct cli *cli, const char *vm, const char *state, struct fault *fault)
{
	const struct timespec pause = { .tv_nsec = 200 * 1000000L };
	_cleanup_free_ char *path = rest_path("/v1/vms/%s", vm);
	usec_t end = clock_monotonic() + WAIT_DEFAULT;

	for (;;) {
		_cleanup_(json_decrefp) json_t *answer = NULL;
		int r = cli_call(cli, "GET", path, NULL, &answer, fault);

		if (r < 0) {
			return r;
		}
		if (json_text(answer, "state") && strcmp(json_text(answer, "state"), state) == 0) {
			return 0;
		}
		if (clock_monotonic() > end) {
			fault_set(fault, FAULT_TIMEOUT, "%s is still %s", vm,
				  json_text(answer, "state"));
			fault_hint(fault,
				   "a guest that hangs does not shut down: dvm power off %s pulls "
				   "the plug",
				   vm);
			return -EREMOTEIO;
		}
		nanosleep(&pause, NULL);
	}
}

static int run(struct cli *cli, const struct args *args, struct fault *fault)
{
	const char *verb = args_word(args, 0), *vm = args_word(args, 1), *state = NULL;
	_cleanup_free_ char *path = rest_path("/v1/vms/%s/actions", vm);
	_cleanup_(json_decrefp) json_t *done = NULL;
	bool known = false;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (strcmp(verbs[i].verb, verb) == 0) {
			known = true;
			state = verbs[i].state;
		}
	}
	if (!known) {
		fault_set(fault, FAULT_BAD_VALUE, "\"%.40s\" is not an action", verb);
		fault_hint(fault, "on, off, shutdown, reboot, reset, pause, resume, nmi");
		return -EREMOTEIO;
	}
	r = cli_call(cli, "POST", path, json_pack("{s:s}", "action", verb), &done, fault);
	if (r == 0 && args_has(args, "wait") && state) {
		r = wait_for(cli, vm, state, fault);
		if (r == 0) {
			r = json_object_set_new(done, "state", json_string(state));
		}
	}
	if (r < 0) {
		return r;
	}
	if (args_has(args, "json")) {
		return cli_print_json(done);
	}
	printf("%s: %s\n", vm, json_text(done, "state"));
	return 0;
}

static const struct option_def options[] = {
	{ "wait", 'w', NULL,
	  "wait until the VM is in the state that the action leads to, at most 2 minutes" },
	OPTION_JSON,
	OPTION_END,
};

const struct command cmd_power = {
	.name = "power",
	.words = "on|off|shutdown|reboot|reset|pause|resume|nmi VM",
	.summary = "power and interrupts of a VM, through the cloud",
	.text = "off pulls the plug, shutdown asks the guest. What already holds is fine: on for a "
		"VM that runs.",
	.options = options,
	.run = run,
};
