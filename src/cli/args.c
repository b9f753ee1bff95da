/* SPDX-License-Identifier: Apache-2.0 */
/* Command line arguments, read from a table of options. */
#include "args.h"

#include <string.h>

#include "cleanup.h"

const struct option_def options_json[] = { OPTION_JSON, OPTION_END };
const struct option_def options_none[] = { OPTION_END };

static const struct option_def *find(const struct option_def *table, const char *name, size_t len)
{
	for (const struct option_def *o = table; o && o->name; o++) {
		if (strlen(o->name) == len && memcmp(o->name, name, len) == 0) {
			return o;
		}
	}
	return NULL;
}

static const struct option_def *find_letter(const struct option_def *table, char letter)
{
	for (const struct option_def *o = table; o && o->name; o++) {
		if (o->letter && o->letter == letter) {
			return o;
		}
	}
	return NULL;
}

static int add(struct args *a, const struct option_def *o, const char *value, struct fault *fault)
{
	if (a->n_given == ARGS_OPTIONS_MAX) {
		return fault_set(fault, FAULT_BAD_REQUEST, "too many options");
	}
	a->given[a->n_given].def = o;
	a->given[a->n_given].value = value;
	a->n_given++;
	return 0;
}

/* One "--name[=value]"; *used counts the further words taken. */
static int parse_long(struct args *a, int argc, char **argv, int *used, struct fault *fault)
{
	const char *name = argv[0] + 2;
	const char *eq = strchr(name, '=');
	size_t len = eq ? (size_t)(eq - name) : strlen(name);
	const struct option_def *o = find(a->table, name, len);

	*used = 0;
	if (!o) {
		if (strcmp(name, "help") == 0) {
			a->help = true;
			return 0;
		}
		return fault_set(fault, FAULT_BAD_REQUEST, "unknown option --%.*s",
				 (int)MIN(len, 64u), name);
	}
	if (!o->value) {
		if (eq) {
			return fault_set(fault, FAULT_BAD_REQUEST, "--%s takes no value", o->name);
		}
		return add(a, o, NULL, fault);
	}
	if (eq) {
		return add(a, o, eq + 1, fault);
	}
	if (argc < 2) {
		return fault_set(fault, FAULT_BAD_REQUEST, "--%s needs a value: %s", o->name,
				 o->value);
	}
	*used = 1;
	return add(a, o, argv[1], fault);
}

/* One "-abc" or "-x VALUE" or "-xVALUE". */
static int parse_short(struct args *a, int argc, char **argv, int *used, struct fault *fault)
{
	int r;

	*used = 0;
	for (const char *p = argv[0] + 1; *p; p++) {
		const struct option_def *o = find_letter(a->table, *p);

		if (!o) {
			if (*p == 'h') {
				a->help = true;
				continue;
			}
			return fault_set(fault, FAULT_BAD_REQUEST, "unknown option -%c", *p);
		}
		if (!o->value) {
			r = add(a, o, NULL, fault);
			if (r < 0) {
				return r;
			}
			continue;
		}
		if (p[1]) {
			return add(a, o, p + 1, fault);
		}
		if (argc < 2) {
			return fault_set(fault, FAULT_BAD_REQUEST, "-%c needs a value: %s", *p,
					 o->value);
		}
		*used = 1;
		return add(a, o, argv[1], fault);
	}
	return 0;
}

int args_parse(const struct option_def *table, size_t pass_after, int argc, char **argv,
	       struct args *ret, struct fault *fault)
{
	struct args a = { .table = table };
	bool only_words = false;
	int r;

	a.words = calloc((size_t)argc + 1, sizeof(a.words[0]));
	if (!a.words) {
		return -ENOMEM;
	}
	for (int i = 0; i < argc; i++) {
		int used = 0;

		if (!only_words && strcmp(argv[i], "--") == 0) {
			only_words = true;
			continue;
		}
		if (only_words || argv[i][0] != '-' || argv[i][1] == '\0') {
			a.words[a.n_words++] = argv[i];
			only_words = only_words || a.n_words > pass_after;
			continue;
		}
		r = argv[i][1] == '-' ? parse_long(&a, argc - i, argv + i, &used, fault)
				      : parse_short(&a, argc - i, argv + i, &used, fault);
		if (r < 0) {
			args_fini(&a);
			return r;
		}
		i += used;
	}
	*ret = a;
	return 0;
}

void args_fini(struct args *a)
{
	free(a->words);
	a->words = NULL;
	a->n_words = 0;
}

bool args_has(const struct args *a, const char *name)
{
	assert(find(a->table, name, strlen(name)));
	for (size_t i = 0; i < a->n_given; i++) {
		if (strcmp(a->given[i].def->name, name) == 0) {
			return true;
		}
	}
	return false;
}

const char *args_value(const struct args *a, const char *name)
{
	assert(find(a->table, name, strlen(name)));
	for (size_t i = a->n_given; i-- > 0;) {
		if (strcmp(a->given[i].def->name, name) == 0) {
			return a->given[i].value;
		}
	}
	return NULL;
}

const char *args_word(const struct args *a, size_t i)
{
	return i < a->n_words ? a->words[i] : NULL;
}

void args_range(const char *usage, size_t *ret_min, size_t *ret_max)
{
	size_t min = 0, max = 0;

	for (const char *p = usage; p && *p;) {
		size_t len = strcspn(p, " ");
		bool many = len >= 3 && memmem(p, len, "...", 3);

		if (p[0] != '[') {
			min++;
		}
		max = many || max == SIZE_MAX ? SIZE_MAX : max + 1;
		p += len;
		p += strspn(p, " ");
	}
	*ret_min = min;
	*ret_max = max;
}
