/* SPDX-License-Identifier: Apache-2.0 */
/* The target of a request, taken apart strictly. */
#include "http_target.h"

#include <stdlib.h>
#include <string.h>

#include "parse.h"

/* Decodes %XX (and + in a query) in place. False for a bad escape and for what is no text. */
static bool decode(char *s, bool plus_is_blank)
{
	char *out = s;

	for (const char *in = s; *in; in++) {
		uint8_t byte;

		if (*in == '%') {
			char pair[3] = { in[1], in[1] ? in[2] : '\0', '\0' };

			if (hex_decode(pair, &byte, 1) < 0 || byte == 0) {
				return false;
			}
			*out++ = (char)byte;
			in += 2;
		} else if (*in == '+' && plus_is_blank) {
			*out++ = ' ';
		} else {
			*out++ = *in;
		}
	}
	*out = '\0';
	return text_valid(s, HTTP_TARGET_MAX);
}

static int bad(struct fault *fault, const char *what)
{
	return fault_set(fault, FAULT_BAD_REQUEST, "The request's %s", what);
}

static int parse_path(char *path, struct http_target *t, struct fault *fault)
{
	char *rest = path + 1;

	while (rest) {
		char *segment = strsep(&rest, "/");

		if (t->n_segments == HTTP_SEGMENTS_MAX) {
			return bad(fault, "path has too many parts");
		}
		if (!decode(segment, false)) {
			return bad(fault, "path holds a bad escape or is not text");
		}
		t->segments[t->n_segments++] = segment;
	}
	return 0;
}

static int parse_query(char *query, struct http_target *t, struct fault *fault)
{
	while (query) {
		char *value = strsep(&query, "&");
		char *name = strsep(&value, "=");

		if (!*name && !value) {
			continue;
		}
		if (t->n_query == HTTP_QUERY_MAX) {
			return bad(fault, "query has too many parts");
		}
		if (!decode(name, true) || (value && !decode(value, true))) {
			return bad(fault, "query holds a bad escape or is not text");
		}
		t->query[t->n_query].name = name;
		t->query[t->n_query].value = value ? value : "";
		t->n_query++;
	}
	return 0;
}

int http_target_parse(const char *raw, struct http_target *ret, struct fault *fault)
{
	struct http_target t = { 0 };
	char *query;
	int r;

	if (strlen(raw) > HTTP_TARGET_MAX) {
		return bad(fault, "path and query are too long");
	}
	if (raw[0] != '/') {
		return bad(fault, "target is not a path");
	}
	t.memory = strdup(raw);
	if (!t.memory) {
		return fault_set(fault, FAULT_INTERNAL, "No memory left for this request");
	}
	query = strchr(t.memory, '?');
	if (query) {
		*query++ = '\0';
	}
	r = parse_path(t.memory, &t, fault);
	if (r == 0) {
		r = parse_query(query, &t, fault);
	}
	if (r < 0) {
		http_target_fini(&t);
		return r;
	}
	*ret = t;
	return 0;
}

void http_target_fini(struct http_target *t)
{
	free(t->memory);
	*t = (struct http_target){ 0 };
}
