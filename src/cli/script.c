/* SPDX-License-Identifier: Apache-2.0 */
/* A conversation with a console in steps. See script.h. */
#include "script.h"

#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "parse.h"

struct step {
	const char *pattern; /* NULL: a text to send */
	regex_t regex;
	char *text;
	size_t len;
};

struct script {
	struct step steps[ARGS_OPTIONS_MAX];
	size_t n_steps, at;
	struct buf seen; /* since the last match, without carriage returns and NULs */
};

DEFINE_CLEANUP(struct script *, script_free);

int script_unescape(const char *s, char *out, size_t size, size_t *ret_len)
{
	static const struct {
		char name, byte;
	} names[] = { { 'r', '\r' }, { 'n', '\n' },  { 't', '\t' },
		      { 'e', 0x1b }, { '\\', '\\' }, { '0', '\0' } };
	size_t n = 0;

	while (*s) {
		size_t i = 0;
		char byte = *s++;

		if (byte == '\\' && *s == 'x') {
			char hex[3] = { s[1], s[1] ? s[2] : '\0', '\0' };

			if (hex_decode(hex, &byte, 1) < 0) {
				return -EINVAL;
			}
			s += 3;
		} else if (byte == '\\') {
			while (i < ARRAY_SIZE(names) && names[i].name != *s) {
				i++;
			}
			if (i == ARRAY_SIZE(names)) {
				return -EINVAL;
			}
			byte = names[i].byte;
			s++;
		}
		if (n == size) {
			return -EINVAL;
		}
		out[n++] = byte;
	}
	*ret_len = n;
	return 0;
}

static int step_expect(struct step *step, const char *pattern, struct fault *fault)
{
	int error = regcomp(&step->regex, pattern, REG_EXTENDED | REG_NEWLINE);
	char why[128];

	if (error != 0) {
		regerror(error, &step->regex, why, sizeof(why));
		return fault_set(fault, FAULT_BAD_VALUE, "--expect \"%.60s\": %s", pattern, why);
	}
	step->pattern = pattern;
	return 0;
}

static int step_send(struct step *step, const char *text, struct fault *fault)
{
	step->text = malloc(SCRIPT_SEND_MAX);
	if (!step->text) {
		return -ENOMEM;
	}
	if (script_unescape(text, step->text, SCRIPT_SEND_MAX, &step->len) < 0) {
		return fault_set(fault, FAULT_BAD_VALUE,
				 "--send \"%.60s\": too long, or a backslash that means nothing",
				 text);
	}
	return 0;
}

int script_new(const struct args *args, struct script **ret, struct fault *fault)
{
	_cleanup_(script_freep) struct script *s = calloc(1, sizeof(*s));

	if (!s) {
		return -ENOMEM;
	}
	buf_init(&s->seen, SCRIPT_SEEN_MAX + 1); /* and the NUL that ends a text */
	for (size_t i = 0; i < args->n_given; i++) {
		bool expect = strcmp(args->given[i].def->name, "expect") == 0;
		int r;

		if (!expect && strcmp(args->given[i].def->name, "send") != 0) {
			continue;
		}
		r = expect ? step_expect(&s->steps[s->n_steps], args->given[i].value, fault)
			   : step_send(&s->steps[s->n_steps], args->given[i].value, fault);
		s->n_steps += r == 0;
		if (r < 0) {
			free(s->steps[s->n_steps].text);
			return r;
		}
	}
	*ret = s->n_steps > 0 ? TAKE_PTR(s) : NULL;
	return 0;
}

struct script *script_free(struct script *s)
{
	if (!s) {
		return NULL;
	}
	for (size_t i = 0; i < s->n_steps; i++) {
		if (s->steps[i].pattern) {
			regfree(&s->steps[i].regex);
		}
		free(s->steps[i].text);
	}
	buf_fini(&s->seen);
	free(s);
	return NULL;
}

int script_said(struct script *s, const uint8_t *p, size_t len)
{
	uint8_t *to;
	size_t n = 0;
	int r;

	if (len > SCRIPT_SEEN_MAX) {
		p += len - SCRIPT_SEEN_MAX;
		len = SCRIPT_SEEN_MAX;
	}
	if (len > SCRIPT_SEEN_MAX - buf_len(&s->seen)) {
		buf_consume(&s->seen, len - (SCRIPT_SEEN_MAX - buf_len(&s->seen)));
	}
	r = buf_reserve(&s->seen, len, &to);
	if (r < 0) {
		return r;
	}
	for (size_t i = 0; i < len; i++) {
		if (p[i] != '\r' && p[i] != '\0') {
			to[n++] = p[i];
		}
	}
	buf_commit(&s->seen, n);
	return 0;
}

/* 1: the step is done, 0: not yet. */
static int step_matches(struct script *s, struct step *step)
{
	size_t len = buf_len(&s->seen);
	regmatch_t match;
	int r = buf_append(&s->seen, "", 1);
	bool found;

	if (r < 0) {
		return r;
	}
	found = regexec(&step->regex, (const char *)buf_data(&s->seen), 1, &match, 0) == 0;
	buf_truncate(&s->seen, len);
	if (found) {
		buf_consume(&s->seen, (size_t)match.rm_eo);
	}
	return found;
}

int script_go(struct script *s, struct typed *typed)
{
	for (; s->at < s->n_steps; s->at++) {
		struct step *step = &s->steps[s->at];
		int r;

		if (step->pattern) {
			r = step_matches(s, step);
			if (r <= 0) {
				return r;
			}
			continue;
		}
		if (typed_room(typed) < step->len) {
			return 0;
		}
		r = typed_add(typed, step->text, step->len);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

bool script_is_over(const struct script *s)
{
	return s->at == s->n_steps;
}

const char *script_waits_for(const struct script *s)
{
	return script_is_over(s) ? NULL : s->steps[s->at].pattern;
}
