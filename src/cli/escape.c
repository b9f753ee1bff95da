/* SPDX-License-Identifier: Apache-2.0 */
/* Escape keys of an interactive console. */
#include "escape.h"

#include <errno.h>
#include <string.h>

#define CONTROL(key) ((key) ^ 0x40)

static const struct {
	char key;
	enum escape_action action;
	const char *words, *help;
} keys[] = {
	{ '.', ESCAPE_QUIT, "", "leave the console" },
	{ 'B', ESCAPE_BREAK, "", "send a break" },
	{ 's', ESCAPE_SYSRQ, " KEY", "send a break and the key: Linux's SysRq; h lists its keys" },
	{ 'W', ESCAPE_TAKE, "", "take writing over from whoever has it" },
	{ 'w', ESCAPE_SIZE, "", "type \"stty rows R cols C\" with this terminal's size" },
	{ 'P', ESCAPE_PASTE, "", "paste a file" },
	{ '?', ESCAPE_HELP, "", "this" },
};

static bool key_is_for(const struct escape *e, size_t i)
{
	return keys[i].action != ESCAPE_PASTE || !e->no_files;
}

enum escape_action escape_input(struct escape *e, uint8_t key, uint8_t out[2], size_t *ret_len)
{
	*ret_len = 0;
	if (e->sysrq) {
		e->sysrq = false;
		e->argument = key;
		return ESCAPE_SYSRQ;
	}
	if (e->held) {
		e->held = false;
		for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
			if ((uint8_t)keys[i].key != key || key == e->key || !key_is_for(e, i)) {
				continue;
			}
			/* The line still has nothing in it. */
			e->sysrq = keys[i].action == ESCAPE_SYSRQ;
			return e->sysrq ? ESCAPE_NONE : keys[i].action;
		}
		out[(*ret_len)++] = e->key;
		e->line_start = false;
		if (key == e->key) {
			return ESCAPE_NONE;
		}
	} else if (e->line_start && e->key != 0 && key == e->key) {
		e->held = true;
		return ESCAPE_NONE;
	}
	out[(*ret_len)++] = key;
	e->line_start = key == '\r' || key == '\n';
	return ESCAPE_NONE;
}

int escape_parse(const char *s, uint8_t *ret_key)
{
	uint8_t key = (uint8_t)s[0];

	if (strcmp(s, "none") == 0) {
		*ret_key = 0;
		return 0;
	}
	if (s[0] == '^' && strlen(s) == 2) {
		key = (uint8_t)(s[1] >= 'a' && s[1] <= 'z' ? s[1] - 'a' + 'A' : s[1]);
		if (key < '?' || key > '_' || CONTROL(key) == '\r' || CONTROL(key) == '\n') {
			return -EINVAL;
		}
		*ret_key = CONTROL(key);
		return *ret_key ? 0 : -EINVAL;
	}
	if (strlen(s) != 1 || key <= ' ' || key > '~') {
		return -EINVAL;
	}
	*ret_key = key;
	return 0;
}

void escape_help(const struct escape *e, FILE *f)
{
	char name[3] = { (char)e->key, '\0', '\0' };

	if (e->key < ' ' || e->key == 0x7f) {
		name[0] = '^';
		name[1] = CONTROL((char)e->key);
	}
	fprintf(f, "\r\n");
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (key_is_for(e, i)) {
			fprintf(f, "  %s%c%-4s  %s\r\n", name, keys[i].key, keys[i].words,
				keys[i].help);
		}
	}
	fprintf(f, "  %s%s  send the escape key itself\r\n(at the start of a line only)\r\n", name,
		name);
}
