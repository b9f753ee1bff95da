/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dvm complete: what may stand in place of the last word of a command line, a candidate a line. The
 * shell's completion asks this, so it knows every command and option that the table has, and the
 * VMs and sessions of the moment.
 */
#include <string.h>

#include "cleanup.h"
#include "commands.h"
#include "view.h"

static bool starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Words that go on a command's name after the n whole words given. */
static void offer_commands(char **words, size_t n, const char *last)
{
	char previous[64] = "";

	for (const struct command_group *g = command_groups; g->title; g++) {
		for (const struct command *const *c = g->commands; *c; c++) {
			const char *p = (*c)->name;
			char word[64];

			for (size_t i = 0; i < n && p; i++) {
				size_t len = strlen(words[i]);

				p = strncmp(p, words[i], len) == 0 && p[len] == ' ' ? p + len + 1
										    : NULL;
			}
			if (!p || !starts(p, last)) {
				continue;
			}
			snprintf(word, sizeof(word), "%.*s", (int)strcspn(p, " "), p);
			if (strcmp(word, previous) != 0) {
				puts(word);
				memcpy(previous, word, sizeof(previous));
			}
		}
	}
}

static void offer_options(const struct command *c, const char *last)
{
	char option[80];

	for (const struct option_def *o = c->options; o->name; o++) {
		snprintf(option, sizeof(option), "--%s", o->name);
		if (starts(option, last)) {
			puts(option);
		}
	}
	if (starts("--help", last)) {
		puts("--help");
	}
}

/* Where the candidates for a word of a usage text come from. */
struct source {
	const char *kind, *path, *member;
	int (*get)(struct cli *cli, const char *path, json_t **ret_items, struct fault *fault);
};

static const struct source sources[] = {
	{ "VM", "/v1/vms", "name", cli_list },
	{ "DOMAIN", "/v1/domains", "domain", cli_items },
	{ "SESSION", "/v1/sessions", "id", cli_list },
	{ "IMAGE", "/v1/images", "name", cli_items },
	{ "PROJECT", "/v1/projects", "name", cli_list },
	{ "TOKEN-ID", "/v1/tokens", "id", cli_list },
	{ "KEY-ID", "/v1/keys", "id", cli_list },
};

/* Asks the server; a failure just means no candidates. */
static void offer_members(struct cli *cli, const struct source *source, const char *last)
{
	_cleanup_(json_decrefp) json_t *items = NULL;
	json_t *item;
	size_t i;

	if (source->get(cli, source->path, &items, NULL) < 0) {
		return;
	}
	json_array_foreach(items, i, item)
	{
		const char *name = json_text(item, source->member);

		if (name && starts(name, last)) {
			puts(name);
		}
	}
}

static const struct source *source_find(const char *kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		if (strcmp(sources[i].kind, kind) == 0) {
			return &sources[i];
		}
	}
	return NULL;
}

/* `kind` is a word of a usage text: "VM", "[SESSION]", "on|off", "SESSION|VM". */
static void offer_kind(struct cli *cli, const char *kind, size_t len, const char *last)
{
	char word[128], *save = NULL;
	bool choice;

	kind += kind[0] == '[';
	len = MIN(len, strcspn(kind, "] ."));
	snprintf(word, sizeof(word), "%.*s", (int)len, kind);
	choice = strchr(word, '|');
	for (char *p = strtok_r(word, "|", &save); p; p = strtok_r(NULL, "|", &save)) {
		const struct source *source = source_find(p);

		if (source) {
			offer_members(cli, source, last);
		} else if (choice && starts(p, last)) {
			puts(p);
		}
	}
}

/* The `n`th word of a usage text; its last one when that repeats. */
static const char *usage_word(const char *usage, size_t n)
{
	const char *p = usage;

	while (n-- > 0 && *p) {
		const char *next = strchr(p, ' ');

		if (!next) {
			return strstr(p, "...") ? p : "";
		}
		p = next + 1;
	}
	return p;
}

static const struct option_def *option_wanting_value(const struct command *c, const char *word)
{
	for (const struct option_def *o = c->options; o->name; o++) {
		if (o->value &&
		    ((word[0] == '-' && word[1] == '-' && strcmp(word + 2, o->name) == 0) ||
		     (o->letter && word[0] == '-' && word[1] == o->letter && !word[2]))) {
			return o;
		}
	}
	return NULL;
}

static int run(struct cli *cli, const struct args *args, struct fault *fault)
{
	size_t n = args->n_words ? args->n_words - 1 : 0, given = 0;
	const char *last = args->n_words ? args->words[n] : "";
	const struct option_def *o = NULL;
	const struct command *c;
	const char *kind;
	int used = 0;

	c = command_find((int)n, args->words, &used);
	if (!c) {
		offer_commands(args->words, n, last);
		return 0;
	}
	for (size_t i = (size_t)used; i < n; i++) {
		o = option_wanting_value(c, args->words[i]);
		if (o && i + 1 < n) {
			i++;
			o = NULL;
		} else if (args->words[i][0] != '-') {
			given++;
		}
	}
	if (o) {
		offer_kind(cli, o->value, strlen(o->value), last);
	} else if (last[0] == '-') {
		offer_options(c, last);
	} else {
		kind = usage_word(c->words, given);
		offer_kind(cli, kind, strcspn(kind, " "), last);
	}
	return 0;
}

static const struct option_def options[] = { OPTION_END };

const struct command cmd_complete = {
	.name = "complete",
	.words = "[WORD...]",
	.summary = "print what may follow on a command line, for the shell's completion",
	.text = "The words of the command line come after --, the last one being the one to "
		"complete.",
	.options = options,
	.run = run,
};
