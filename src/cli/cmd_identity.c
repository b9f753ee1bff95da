/* SPDX-License-Identifier: Apache-2.0 */
/* dvm token, user, project, whoami: who may do what. */
#include <string.h>

#include "cleanup.h"
#include "commands.h"
#include "parse.h"
#include "view.h"

/* --rights A,B into the body; nothing when it is not given. */
static int put_rights(json_t *body, const struct args *args)
{
	const char *list = args_value(args, "rights");
	json_t *rights = list ? json_array() : NULL;

	for (const char *p = list; p && *p;) {
		size_t len = strcspn(p, ",");

		if (len > 0 && json_array_append_new(rights, json_stringn(p, len)) < 0) {
			json_decref(rights);
			return -ENOMEM;
		}
		p += len + (p[len] == ',');
	}
	return rights && json_object_set_new(body, "rights", rights) < 0 ? -ENOMEM : 0;
}

#define RIGHTS_TEXT "Rights: view, type, debug, memory, disk-read, disk-write, power, admin."

/* ---- tokens */

static const struct view_column token_columns[] = {
	{ "ID", "id" },
	{ "USER", "user" },
	{ "NAME", "name" },
	{ "RIGHTS", "rights", view_names },
	{ "MADE", "created", view_time },
	{ "USED", "last_used", view_time },
	{ "LEFT", "expires", view_lease },
	VIEW_END,
};

static int run_token_list(struct cli *cli, const struct args *args, struct fault *fault)
{
	return view_listing(cli, args, cli_list, "/v1/tokens", token_columns, fault);
}

const struct command cmd_token_list = {
	.name = "token list",
	.words = "",
	.summary = "list your tokens; an administrator sees all",
	.options = options_json,
	.run = run_token_list,
};

static int run_token_create(struct cli *cli, const struct args *args, struct fault *fault)
{
	const char *ttl = args_value(args, "ttl");
	_cleanup_(json_decrefp) json_t *token = NULL;
	json_t *body;
	usec_t ttl_usec;
	int r;

	body = json_pack("{s:s*, s:s*}", "name", args_value(args, "name"), "user",
			 args_value(args, "user"));
	if (!body) {
		return fault_set(fault, FAULT_BAD_VALUE, "names must be UTF-8");
	}
	r = put_rights(body, args);
	if (r < 0) {
		json_decref(body);
		return r;
	}
	if (ttl) {
		if (parse_duration(ttl, &ttl_usec) < 0 || ttl_usec < USEC_PER_SEC) {
			json_decref(body);
			return fault_set(fault, FAULT_BAD_VALUE,
					 "--ttl \"%.40s\" is not a time such as 12h or 30d", ttl);
		}
		json_object_set_new(body, "ttl_s",
				    json_integer((json_int_t)(ttl_usec / USEC_PER_SEC)));
	}
	r = cli_call(cli, "POST", "/v1/tokens", body, &token, fault);
	if (r < 0) {
		return r;
	}
	if (args_has(args, "json")) {
		return cli_print_json(token);
	}
	fprintf(stderr, "%s for %s; the secret is shown this once:\n", json_text(token, "id"),
		json_text(token, "user"));
	printf("%s\n", json_text(token, "token"));
	return 0;
}

static const struct option_def token_create_options[] = {
	{ "name", 'n', "TEXT", "what it is for" },
	{ "user", 'u', "USER", "for somebody else (administrators)" },
	{ "rights", 'r', "A,B", "only these of the user's rights (default: all)" },
	{ "ttl", 't', "TIME", "how long it is good for, e.g. 30d (default: no end)" },
	OPTION_JSON,
	OPTION_END,
};

const struct command cmd_token_create = {
	.name = "token create",
	.words = "",
	.summary = "make a token; its secret is printed once",
	.text = RIGHTS_TEXT,
	.options = token_create_options,
	.run = run_token_create,
};

static int run_token_revoke(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_free_ char *path = rest_path("/v1/tokens/%s", args_word(args, 0));

	return cli_call(cli, "DELETE", path, NULL, NULL, fault);
}

const struct command cmd_token_revoke = {
	.name = "token revoke",
	.words = "TOKEN-ID",
	.summary = "revoke a token",
	.options = options_none,
	.run = run_token_revoke,
};

/* ---- users */

static const struct view_column user_columns[] = {
	{ "NAME", "name" },
	{ "RIGHTS", "rights", view_names },
	{ "SINCE", "created", view_time },
	VIEW_END,
};

static int run_user_list(struct cli *cli, const struct args *args, struct fault *fault)
{
	return view_listing(cli, args, cli_list, "/v1/users", user_columns, fault);
}

const struct command cmd_user_list = {
	.name = "user list",
	.words = "",
	.summary = "list users (administrators)",
	.options = options_json,
	.run = run_user_list,
};

static int print_made(const struct args *args, const json_t *made, const char *what)
{
	if (args_has(args, "json")) {
		return cli_print_json(made);
	}
	printf("%s %s\n", what, json_text(made, "name"));
	return 0;
}

static int run_user_create(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_(json_decrefp) json_t *user = NULL;
	json_t *body = json_pack("{s:s}", "name", args_word(args, 0));
	int r;

	if (!body) {
		return fault_set(fault, FAULT_BAD_VALUE, "names must be UTF-8");
	}
	r = put_rights(body, args);
	if (r < 0) {
		json_decref(body);
		return r;
	}
	r = cli_call(cli, "POST", "/v1/users", body, &user, fault);
	return r < 0 ? r : print_made(args, user, "user");
}

static const struct option_def user_create_options[] = {
	{ "rights", 'r', "A,B",
	  "rights in every project, e.g. admin for an administrator (default: none)" },
	OPTION_JSON,
	OPTION_END,
};

const struct command cmd_user_create = {
	.name = "user create",
	.words = "NAME",
	.summary = "make a user (administrators)",
	.text = "Then give him rights with dvm project member, and a token with dvm token create "
		"--user NAME.",
	.options = user_create_options,
	.run = run_user_create,
};

/* ---- projects */

static const struct view_column project_columns[] = {
	{ "NAME", "name" },
	{ "YOUR RIGHTS", "rights", view_names },
	{ "SINCE", "created", view_time },
	VIEW_END,
};

static int run_project_list(struct cli *cli, const struct args *args, struct fault *fault)
{
	return view_listing(cli, args, cli_list, "/v1/projects", project_columns, fault);
}

const struct command cmd_project_list = {
	.name = "project list",
	.words = "",
	.summary = "list projects and what you may do in them",
	.options = options_json,
	.run = run_project_list,
};

static int run_project_create(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_(json_decrefp) json_t *project = NULL;
	int r;

	r = cli_call(cli, "POST", "/v1/projects", json_pack("{s:s}", "name", args_word(args, 0)),
		     &project, fault);
	return r < 0 ? r : print_made(args, project, "project");
}

const struct command cmd_project_create = {
	.name = "project create",
	.words = "NAME",
	.summary = "make a project (administrators)",
	.options = options_json,
	.run = run_project_create,
};

static const struct view_column member_columns[] = {
	{ "USER", "user" },
	{ "RIGHTS", "rights", view_names },
	VIEW_END,
};

static int run_project_members(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_free_ char *path = rest_path("/v1/projects/%s/members", args_word(args, 0));

	return view_listing(cli, args, cli_items, path, member_columns, fault);
}

const struct command cmd_project_members = {
	.name = "project members",
	.words = "PROJECT",
	.summary = "list who may do what in a project",
	.options = options_json,
	.run = run_project_members,
};

static int run_project_member(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_free_ char *path =
		rest_path("/v1/projects/%s/members/%s", args_word(args, 0), args_word(args, 1));
	_cleanup_(json_decrefp) json_t *member = NULL;
	json_t *rights = json_array();
	int r;

	for (size_t i = 2; i < args->n_words; i++) {
		json_array_append_new(rights, json_string(args->words[i]));
	}
	r = cli_call(cli, "PUT", path, json_pack("{s:o}", "rights", rights), &member, fault);
	if (r < 0) {
		return r;
	}
	if (args_has(args, "json")) {
		return cli_print_json(member);
	}
	_cleanup_free_ char *text = view_names(json_object_get(member, "rights"));

	printf("%s in %s: %s\n", args_word(args, 1), args_word(args, 0),
	       text && text[0] ? text : "no rights");
	return 0;
}

const struct command cmd_project_member = {
	.name = "project member",
	.words = "PROJECT USER [RIGHT...]",
	.summary = "set what a user may do in a project",
	.text = "Rights: view, type, debug, memory, disk-read, disk-write, power, admin. None: no "
		"longer a member.",
	.options = options_json,
	.run = run_project_member,
};

/* ---- whoami */

static char *memberships(const json_t *value)
{
	json_t *lines = json_array(), *p;
	char *text;
	size_t i;

	json_array_foreach((json_t *)value, i, p)
	{
		_cleanup_free_ char *rights = view_names(json_object_get(p, "rights"));
		json_t *line = json_sprintf("%s (%s)", json_text(p, "name"), rights ? rights : "?");

		if (!line || json_array_append_new(lines, line) < 0) {
			json_decref(lines);
			return NULL;
		}
	}
	text = view_names(lines);
	json_decref(lines);
	return text;
}

static const struct view_column whoami_columns[] = {
	{ "user", "user" },
	{ "rights everywhere", "rights", view_names },
	{ "projects", "projects", memberships },
	{ "token", "token" },
	VIEW_END,
};

static int run_whoami(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_(json_decrefp) json_t *me = NULL;
	int r;

	r = cli_call(cli, "GET", "/v1/whoami", NULL, &me, fault);
	if (r < 0) {
		return r;
	}
	return args_has(args, "json") ? cli_print_json(me) : view_object(cli, me, whoami_columns);
}

const struct command cmd_whoami = {
	.name = "whoami",
	.words = "",
	.summary = "show whose token this is, and what it may do",
	.options = options_json,
	.run = run_whoami,
};
