/* SPDX-License-Identifier: Apache-2.0 */
/* What all commands share. */
#include "cli.h"

#include <curl/curl.h>
#include <string.h>

#include "cleanup.h"
#include "parse.h"

void cli_init(struct cli *cli)
{
	const char *term = getenv("TERM");

	*cli = (struct cli){ 0 };
	curl_global_init(CURL_GLOBAL_DEFAULT);
	cli->tty = isatty(STDOUT_FILENO);
	cli->color = cli->tty && !getenv("NO_COLOR") && term && strcmp(term, "dumb") != 0;
}

void cli_fini(struct cli *cli)
{
	cli->rest = rest_free(cli->rest);
	config_fini(&cli->config);
	curl_global_cleanup();
}

int cli_config(struct cli *cli, const struct config **ret, struct fault *fault)
{
	int r;

	if (!cli->config_loaded) {
		r = config_load(&cli->config, fault);
		if (r < 0) {
			return r;
		}
		cli->config_loaded = true;
	}
	*ret = &cli->config;
	return 0;
}

int cli_rest(struct cli *cli, struct rest **ret, struct fault *fault)
{
	const struct config *config;
	int r;

	if (!cli->rest) {
		r = cli_config(cli, &config, fault);
		if (r == 0) {
			r = rest_new(config, &cli->rest, fault);
		}
		if (r < 0) {
			return r;
		}
	}
	*ret = cli->rest;
	return 0;
}

int cli_call(struct cli *cli, const char *method, const char *path, json_t *body, json_t **ret,
	     struct fault *fault)
{
	struct rest *rest;
	int r;

	if (!path) {
		json_decref(body);
		return -ENOMEM;
	}
	r = cli_rest(cli, &rest, fault);
	if (r < 0) {
		json_decref(body);
		return r;
	}
	return rest_call(rest, method, path, body, ret, fault);
}

/* `path` and the cursor `after`, which is a string or a number. */
static char *page_path(const char *path, const json_t *after)
{
	_cleanup_free_ char *cursor = NULL;
	char join = strchr(path, '?') ? '&' : '?';

	if (json_is_integer(after)) {
		cursor = strf("%" JSON_INTEGER_FORMAT, json_integer_value(after));
	} else if (json_is_string(after)) {
		cursor = rest_path("%s", json_string_value(after));
	} else {
		return strf("%s%climit=200", path, join);
	}
	return cursor ? strf("%s%climit=200&after=%s", path, join, cursor) : NULL;
}

int cli_items(struct cli *cli, const char *path, json_t **ret_items, struct fault *fault)
{
	_cleanup_(json_decrefp) json_t *answer = NULL;
	json_t *items;
	int r;

	r = cli_call(cli, "GET", path, NULL, &answer, fault);
	if (r < 0) {
		return r;
	}
	items = json_object_get(answer, "items");
	if (!json_is_array(items)) {
		return fault_set(fault, FAULT_PROTOCOL, "the server's answer is not a list");
	}
	*ret_items = json_incref(items);
	return 0;
}

int cli_list(struct cli *cli, const char *path, json_t **ret_items, struct fault *fault)
{
	_cleanup_(json_decrefp) json_t *all = json_array();
	_cleanup_(json_decrefp) json_t *next = json_null();
	int r;

	if (!path || !all) {
		return -ENOMEM;
	}
	do {
		_cleanup_free_ char *page = page_path(path, next);
		_cleanup_(json_decrefp) json_t *answer = NULL;

		r = cli_call(cli, "GET", page, NULL, &answer, fault);
		if (r < 0) {
			return r;
		}
		if (!json_is_array(json_object_get(answer, "items"))) {
			return fault_set(fault, FAULT_PROTOCOL,
					 "the server's answer is not a list");
		}
		if (json_array_extend(all, json_object_get(answer, "items")) < 0) {
			return -ENOMEM;
		}
		json_decref(next);
		next = json_incref(json_object_get(answer, "next"));
	} while ((json_is_string(next) || json_is_integer(next)) &&
		 json_array_size(all) < CLI_ITEMS_MAX);
	*ret_items = TAKE_PTR(all);
	return 0;
}

int cli_print_json(const json_t *j)
{
	if (json_dumpf(j, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY) < 0 || putchar('\n') == EOF ||
	    fflush(stdout) == EOF) {
		return -EIO;
	}
	return 0;
}

int cli_print_fault(const struct fault *fault)
{
	fflush(stdout);
	fprintf(stderr, "dvm: %s\n", fault->message);
	if (fault->hint[0]) {
		fprintf(stderr, "hint: %s\n", fault->hint);
	}
	return fault_code_exit_status(fault->code);
}

int cli_print_problem(const struct fault *fault)
{
	_cleanup_(json_decrefp) json_t *problem =
		json_pack("{s:s, s:s, s:i, s:s, s:s, s:s}", "type", "about:blank", "title",
			  fault_code_title(fault->code), "status",
			  fault_code_http_status(fault->code), "code", fault_code_name(fault->code),
			  "detail", fault->message, "hint", fault->hint);

	if (!problem || cli_print_json(problem) < 0) {
		fputs("dvm: the problem could not be printed as JSON\n", stderr);
	}
	return cli_print_fault(fault);
}

void cli_print_step(const struct cli *cli, usec_t elapsed, const char *text)
{
	const char *dim = cli->color ? "\033[2m" : "", *plain = cli->color ? "\033[0m" : "";

	fprintf(stderr, "%s%7.3f s%s  %s\n", dim, (double)elapsed / USEC_PER_SEC, plain, text);
}
