/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs that a D-VM may ask for. */
#include "verb.h"

#include <stdbool.h>
#include <string.h>

/* What may stand at each place: words, separated by '|', or * for the name of a target. */
static const char *const verbs[][VERB_WORDS_MAX] = {
	{ "power", "on|off|shutdown|reboot|reset|pause|resume", "*" },
	{ "disk", "attach", "*", "ro|rw" },
	{ "disk", "detach", "*" },
	{ "port", "attach|detach", "*", "serial0|serial1|serial2|serial3|parallel0" },
	{ "memory", "attach|detach", "*" },
	{ "info" },
	{ "session", "renew|end" },
};

static bool is_word_byte(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("._:/@+-", c));
}

static bool words_split(const char *p, size_t len, struct verb *v)
{
	char *to = v->text;
	const char *end = p + len;

	while (v->n_words < VERB_WORDS_MAX) {
		size_t n = 0;

		while (p + n < end && n <= VERB_WORD_MAX && is_word_byte(p[n])) {
			n++;
		}
		if (n == 0 || n > VERB_WORD_MAX) {
			return false;
		}
		v->words[v->n_words++] = memcpy(to, p, n);
		to[n] = '\0';
		to += n + 1;
		p += n;
		if (p == end) {
			return true;
		}
		if (*p++ != ' ') {
			return false;
		}
	}
	return false;
}

static bool word_matches(const char *pattern, const char *word)
{
	size_t len = strlen(word);

	if (strcmp(pattern, "*") == 0) {
		return true;
	}
	while (true) {
		size_t n = strcspn(pattern, "|");

		if (n == len && memcmp(pattern, word, n) == 0) {
			return true;
		}
		if (pattern[n] == '\0') {
			return false;
		}
		pattern += n + 1;
	}
}

static bool verb_matches(const char *const *patterns, const struct verb *v)
{
	for (size_t i = 0; i < VERB_WORDS_MAX; i++) {
		if (!patterns[i] || i == v->n_words) {
			return !patterns[i] && i == v->n_words;
		}
		if (!word_matches(patterns[i], v->words[i])) {
			return false;
		}
	}
	return true;
}

enum fault_code verb_parse(const char *p, size_t len, struct verb *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (!words_split(p, len, ret)) {
		return FAULT_PROTOCOL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (verb_matches(verbs[i], ret)) {
			return FAULT_NONE;
		}
	}
	return FAULT_NOT_SUPPORTED;
}
