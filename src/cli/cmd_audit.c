/* SPDX-License-Identifier: Apache-2.0 */
/* dvm audit: what was done and what was refused. */
#include "cleanup.h"
#include "commands.h"
#include "parse.h"
#include "session.h"
#include "view.h"

static const struct view_column columns[] = {
	{ "TIME", "at", view_time }, { "USER", "user" },     { "PROJECT", "project" },
	{ "SESSION", "session" },    { "ACTION", "action" }, { "OBJECT", "object" },
	{ "OUTCOME", "outcome" },    { "DETAIL", "detail" }, VIEW_END,
};

static int run(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_free_ char *session = NULL;
	_cleanup_free_ char *path = NULL;
	_cleanup_(json_decrefp) json_t *items = NULL;
	const char *limit = args_value(args, "limit");
	uint32_t last = UINT32_MAX;
	int r;

	if (limit && parse_u32(limit, &last) < 0) {
		return fault_set(fault, FAULT_BAD_VALUE, "--limit \"%.40s\" is not a number",
				 limit);
	}
	if (args_value(args, "session")) {
		r = session_id(args_value(args, "session"), &session, fault);
		if (r < 0) {
			return r;
		}
	}
	path = session ? rest_path("/v1/audit?session=%s", session) : rest_path("/v1/audit");
	r = cli_list(cli, path, &items, fault);
	if (r < 0) {
		return r;
	}
	while (json_array_size(items) > last) {
		json_array_remove(items, 0);
	}
	return view_items(cli, args, items, columns);
}

static const struct option_def options[] = {
	{ "session", 's', "SESSION", "only what belongs to this session" },
	{ "limit", 'n', "N", "only the last N" },
	OPTION_JSON,
	OPTION_END,
};

const struct command cmd_audit = {
	.name = "audit",
	.words = "",
	.summary = "show what was done and what was refused, oldest first",
	.options = options,
	.run = run,
};
