/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies and queries, read by table. */
#include "fields.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "parse.h"

/* A member's name in an error message: longer ones are not shown. */
#define SHOWN_MAX 60

static int bad(struct fault *fault, const char *name, const char *must_be)
{
	fault_set(fault, FAULT_BAD_VALUE, "`%s` must be %s", name, must_be);
	fault_hint(fault, "See the API description for what `%s` may be.", name);
	return -EREMOTEIO;
}

static int bad_range(struct fault *fault, const struct field *f)
{
	char must_be[96];

	snprintf(must_be, sizeof(must_be), "a whole number from %" PRId64 " to %" PRId64, f->min,
		 f->max);
	return bad(fault, f->name, must_be);
}

static int bad_choice(struct fault *fault, const struct field *f, const char *lead)
{
	char must_be[200];
	size_t at = (size_t)snprintf(must_be, sizeof(must_be), "%s", lead);

	for (const char *const *c = f->choices; *c && at < sizeof(must_be); c++) {
		at += (size_t)snprintf(must_be + at, sizeof(must_be) - at, "%s%s",
				       c == f->choices ? " " : ", ", *c);
	}
	return bad(fault, f->name, must_be);
}

/* Of valid UTF-8. */
static int64_t characters(const char *s)
{
	int64_t n = 0;

	for (; *s; s++) {
		n += ((uint8_t)*s & 0xc0) != 0x80;
	}
	return n;
}

static int check_string(const struct field *f, const char *s, struct fault *fault)
{
	char must_be[96];
	int64_t n;

	if (!text_valid(s, HTTP_TARGET_MAX * 4)) {
		return bad(fault, f->name, "text without control characters");
	}
	n = characters(s);
	if (n < f->min || n > f->max) {
		snprintf(must_be, sizeof(must_be), "%" PRId64 " to %" PRId64 " characters long",
			 f->min, f->max);
		return bad(fault, f->name, must_be);
	}
	return 0;
}

static int check_name(const struct field *f, const char *s, struct fault *fault)
{
	if (!name_valid(s)) {
		return bad(fault, f->name,
			   "a name: 1 to 63 of a-z 0-9 . _ -, beginning with a letter or digit");
	}
	return 0;
}

static int choice_index(const struct field *f, const char *s)
{
	for (int i = 0; f->choices[i]; i++) {
		if (strcmp(f->choices[i], s) == 0) {
			return i;
		}
	}
	return -1;
}

static int set_string(const struct field *f, const char *s, void *out, struct fault *fault)
{
	int r = f->type == FIELD_NAME ? check_name(f, s, fault) : check_string(f, s, fault);

	if (r == 0) {
		*(const char **)out = s;
	}
	return r;
}

static int set_choice(const struct field *f, const char *s, void *out, struct fault *fault)
{
	int index = choice_index(f, s);

	if (index < 0) {
		return bad_choice(fault, f, "one of");
	}
	*(int *)out = index;
	return 0;
}

static int set_integer(const struct field *f, int64_t value, void *out, struct fault *fault)
{
	if (value < f->min || value > f->max) {
		return bad_range(fault, f);
	}
	*(int64_t *)out = value;
	return 0;
}

static int check_items(const struct field *f, const json_t *value, struct fault *fault)
{
	char must_be[96];

	assert(f->items_max <= FIELD_ITEMS_MAX);
	if (!json_is_array(value) || json_array_size(value) < f->items_min ||
	    json_array_size(value) > f->items_max) {
		snprintf(must_be, sizeof(must_be), "a list of %zu to %zu items", f->items_min,
			 f->items_max);
		return bad(fault, f->name, must_be);
	}
	for (size_t i = 0; i < json_array_size(value); i++) {
		if (!json_is_string(json_array_get(value, i))) {
			return bad(fault, f->name, "a list of texts");
		}
	}
	return 0;
}

static int set_list(const struct field *f, const json_t *value, void *out, struct fault *fault)
{
	struct field_list list = { .n = json_array_size(value) };
	const struct field *item = &(struct field){
		.name = f->name,
		.type = f->type == FIELD_NAMES ? FIELD_NAME : FIELD_STRING,
		.min = f->min,
		.max = f->max,
	};

	for (size_t i = 0; i < list.n; i++) {
		int r = set_string(item, json_string_value(json_array_get(value, i)),
				   &list.items[i], fault);

		if (r < 0) {
			return r;
		}
	}
	*(struct field_list *)out = list;
	return 0;
}

static int set_choices(const struct field *f, const json_t *value, void *out, struct fault *fault)
{
	unsigned mask = 0;

	for (size_t i = 0; i < json_array_size(value); i++) {
		int index = choice_index(f, json_string_value(json_array_get(value, i)));

		if (index < 0 || mask & 1u << index) {
			return bad_choice(fault, f, "a list without repetition of");
		}
		mask |= 1u << index;
	}
	*(unsigned *)out = mask;
	return 0;
}

static int set_from_json(const struct field *f, const json_t *value, void *out, struct fault *fault)
{
	int r;

	switch (f->type) {
	case FIELD_STRING:
	case FIELD_NAME:
	case FIELD_CHOICE:
		if (!json_is_string(value)) {
			return bad(fault, f->name, "a text");
		}
		return f->type == FIELD_CHOICE
			       ? set_choice(f, json_string_value(value), out, fault)
			       : set_string(f, json_string_value(value), out, fault);
	case FIELD_INTEGER:
		return json_is_integer(value)
			       ? set_integer(f, json_integer_value(value), out, fault)
			       : bad_range(fault, f);
	case FIELD_BOOL:
		if (!json_is_boolean(value)) {
			return bad(fault, f->name, "true or false");
		}
		*(bool *)out = json_is_true(value);
		return 0;
	case FIELD_STRINGS:
	case FIELD_NAMES:
	case FIELD_CHOICES:
		r = check_items(f, value, fault);
		if (r < 0) {
			return r;
		}
		return f->type == FIELD_CHOICES ? set_choices(f, value, out, fault)
						: set_list(f, value, out, fault);
	}
	return bad(fault, f->name, "something else");
}

static int set_from_text(const struct field *f, const char *text, void *out, struct fault *fault)
{
	uint64_t number;

	switch (f->type) {
	case FIELD_STRING:
	case FIELD_NAME:
		return set_string(f, text, out, fault);
	case FIELD_CHOICE:
		return set_choice(f, text, out, fault);
	case FIELD_INTEGER:
		if (parse_u64(text, &number) < 0 || number > INT64_MAX) {
			return bad_range(fault, f);
		}
		return set_integer(f, (int64_t)number, out, fault);
	case FIELD_BOOL:
		if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
			return bad(fault, f->name, "true or false");
		}
		*(bool *)out = text[0] == 't';
		return 0;
	case FIELD_STRINGS:
	case FIELD_NAMES:
	case FIELD_CHOICES:
		break;
	}
	return bad(fault, f->name, "in a body");
}

static const struct field *find(const struct field *table, const char *name)
{
	for (const struct field *f = table; f && f->name; f++) {
		if (strcmp(f->name, name) == 0) {
			return f;
		}
	}
	return NULL;
}

static int unknown(struct fault *fault, const char *name)
{
	return fault_set(fault, FAULT_UNKNOWN_FIELD, "`%s` is not a field of this request",
			 text_valid(name, SHOWN_MAX) ? name : "…");
}

int fields_parse_body(const char *p, size_t len, json_t **ret, struct fault *fault)
{
	json_error_t error;
	json_t *body = json_loadb(p, len, JSON_REJECT_DUPLICATES, &error);

	if (!body && json_error_code(&error) == json_error_duplicate_key) {
		return fault_set(fault, FAULT_BAD_JSON,
				 "A member stands twice in the body (line %d)", error.line);
	}
	if (!body) {
		return fault_set(
			fault, FAULT_BAD_JSON, "The body is not valid JSON (line %d, column %d)",
			error.line > 0 ? error.line : 1, error.column > 0 ? error.column : 0);
	}
	if (!json_is_object(body)) {
		json_decref(body);
		return fault_set(fault, FAULT_BAD_JSON, "The body must be a JSON object");
	}
	*ret = body;
	return 0;
}

int fields_from_json(const struct field *table, const json_t *body, void *out, struct fault *fault)
{
	const char *name;
	json_t *value;
	int r;

	json_object_foreach((json_t *)body, name, value)
	{
		if (!find(table, name)) {
			return unknown(fault, name);
		}
	}
	for (const struct field *f = table; f && f->name; f++) {
		value = json_object_get(body, f->name);
		if (!value && f->required) {
			fault_set(fault, FAULT_BAD_VALUE, "`%s` is missing", f->name);
			fault_hint(fault, "Give `%s`; see the API description for what it may be.",
				   f->name);
			return -EREMOTEIO;
		}
		if (!value) {
			continue;
		}
		r = set_from_json(f, value, (char *)out + f->offset, fault);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

int fields_from_query(const struct field *table, const struct http_target *target, void *out,
		      struct fault *fault)
{
	for (size_t i = 0; i < target->n_query; i++) {
		const struct field *f = find(table, target->query[i].name);
		int r;

		if (!f) {
			return unknown(fault, target->query[i].name);
		}
		for (size_t before = 0; before < i; before++) {
			if (strcmp(target->query[before].name, f->name) == 0) {
				return bad(fault, f->name, "given once");
			}
		}
		r = set_from_text(f, target->query[i].value, (char *)out + f->offset, fault);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}
