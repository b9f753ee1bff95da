/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a body, and as a path with its query: what is taken is as the table says, and every
 * fault makes a problem that can be sent.
 */
#include <string.h>

#include "api_fields.h"
#include "fuzz.h"
#include "parse.h"
#include "problem.h"

static const struct field *const bodies[] = {
	vm_adopt_fields,       vm_action_fields,
	vm_stream_open_fields, session_stream_open_fields,
	session_start_fields,  session_renew_fields,
	stack_add_fields,      attach_fields,
	token_make_fields,     user_make_fields,
	project_make_fields,   member_set_fields,
};
static const struct field *const queries[] = {
	no_query,	    page_query,	 seq_query,   vm_list_query,
	session_list_query, event_query, audit_query,
};

static void check_fault(const struct fault *fault)
{
	json_t *problem = problem_json(fault, (unsigned)fault_code_http_status(fault->code));
	char *text;

	must(fault->code != FAULT_NONE && fault->code != FAULT_INTERNAL);
	must(problem);
	text = json_dumps(problem, 0);
	must(text);
	free(text);
	json_decref(problem);
}

static void check_list(const struct field *f, const struct field_list *list)
{
	must(list->n <= f->items_max);
	for (size_t i = 0; i < list->n; i++) {
		must(f->type == FIELD_NAMES ? name_valid(list->items[i])
					    : text_valid(list->items[i], 64 * 1024));
	}
}

/* Members that were given are as the table says; those that were not are as they were before: 0. */
static void check_value(const struct field *f, const void *value)
{
	const char *text = NULL;
	size_t n = 0;

	while (f->choices && f->choices[n]) {
		n++;
	}
	switch (f->type) {
	case FIELD_STRING:
	case FIELD_NAME:
		text = *(const char *const *)value;
		must(!text ||
		     (f->type == FIELD_NAME ? name_valid(text) : text_valid(text, 64 * 1024)));
		break;
	case FIELD_CHOICE:
		must(*(const int *)value >= 0 && (size_t) * (const int *)value < n);
		break;
	case FIELD_INTEGER:
		must(*(const int64_t *)value == 0 ||
		     (*(const int64_t *)value >= f->min && *(const int64_t *)value <= f->max));
		break;
	case FIELD_BOOL:
		must(*(const uint8_t *)value <= 1);
		break;
	case FIELD_STRINGS:
	case FIELD_NAMES:
		check_list(f, value);
		break;
	case FIELD_CHOICES:
		must(*(const unsigned *)value < 1u << n);
		break;
	}
}

static void check_values(const struct field *table, const void *out)
{
	for (const struct field *f = table; f->name; f++) {
		check_value(f, (const char *)out + f->offset);
	}
}

static void as_body(const struct field *table, const char *p, size_t len)
{
	union api_body out = { 0 };
	struct fault fault = { 0 };
	json_t *body = NULL;
	int r = fields_parse_body(p, len, &body, &fault);

	if (r == 0) {
		r = fields_from_json(table, body, &out, &fault);
	}
	if (r == 0) {
		check_values(table, &out);
	} else {
		check_fault(&fault);
	}
	json_decref(body);
}

static void as_target(const struct field *table, const char *raw)
{
	struct api_query out = { 0 };
	struct fault fault = { 0 };
	struct http_target target;

	if (http_target_parse(raw, &target, &fault) < 0) {
		check_fault(&fault);
		return;
	}
	must(target.n_segments >= 1 && target.n_segments <= HTTP_SEGMENTS_MAX);
	if (fields_from_query(table, &target, &out, &fault) == 0) {
		check_values(table, &out);
	} else {
		check_fault(&fault);
	}
	http_target_fini(&target);
}

/* The first byte chooses the table. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size == 0) {
		return 0;
	}
	text = malloc(size);
	must(text);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	as_body(bodies[data[0] % ARRAY_SIZE(bodies)], text, size - 1);
	as_target(queries[data[0] % ARRAY_SIZE(queries)], text);
	free(text);
	return 0;
}
