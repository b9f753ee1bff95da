/* SPDX-License-Identifier: Apache-2.0 */
/* dvm stack: sets of tools for a D-VM that runs. */
#include "cleanup.h"
#include "commands.h"
#include "rest.h"
#include "session.h"
#include "view.h"

static int run_add(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_(json_decrefp) json_t *session = NULL;
	_cleanup_free_ char *id = NULL, *path = NULL;
	json_t *body;
	int r = session_id(args_word(args, 0), &id, fault);

	if (r < 0) {
		return r;
	}
	path = rest_path("/v1/sessions/%s/stacks", id);
	body = json_pack("{s:s}", "name", args_word(args, 1));
	if (!body) {
		return fault_set(fault, FAULT_BAD_VALUE, "names must be UTF-8");
	}
	r = cli_call(cli, "POST", path, body, &session, fault);
	if (r < 0) {
		return r;
	}
	if (args_has(args, "json")) {
		return cli_print_json(session);
	}
	printf("%s is in the D-VM of %s\n", args_word(args, 1), id);
	return 0;
}

const struct command cmd_stack_add = {
	.name = "stack add",
	.words = "SESSION STACK",
	.summary = "give a D-VM that runs a further set of tools",
	.text = "What stacks there are tells dvm image show. Its files are in /usr and /etc as if "
		"they "
		"had been there from the start.",
	.options = options_json,
	.run = run_add,
};
