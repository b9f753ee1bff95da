/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the tables of the API (routes, fields, codes) as JSON, for test_openapi.py. */
#include <stdio.h>
#include <stdlib.h>

#include "api_handlers.h"
#include "router.h"

/* The handlers are of no interest here, but the table of routes names them. */
#define UNUSED(name)                                                                               \
	void name(struct api_call *c)                                                              \
	{                                                                                          \
		abort();                                                                           \
	}
UNUSED(api_health)
UNUSED(api_metrics)
UNUSED(api_whoami)
UNUSED(api_vm_list)
UNUSED(api_vm_get)
UNUSED(api_vm_adopt)
UNUSED(api_vm_forget)
UNUSED(api_vm_act)
UNUSED(api_vm_keys)
UNUSED(api_vm_screenshot)
UNUSED(api_domain_list)
UNUSED(api_vm_set)
UNUSED(api_session_list)
UNUSED(api_session_get)
UNUSED(api_session_start)
UNUSED(api_session_end)
UNUSED(api_session_renew)
UNUSED(api_stack_add)
UNUSED(api_session_timeline)
UNUSED(api_attachment_list)
UNUSED(api_attachment_get)
UNUSED(api_attach)
UNUSED(api_detach)
UNUSED(api_vm_stream)
UNUSED(api_session_stream)
UNUSED(api_recording_list)
UNUSED(api_recording_get)
UNUSED(api_vm_recording_list)
UNUSED(api_vm_recording_get)
UNUSED(api_image_list)
UNUSED(api_image_get)
UNUSED(api_event_watch)
UNUSED(api_audit_list)
UNUSED(api_token_list)
UNUSED(api_token_make)
UNUSED(api_token_revoke)
UNUSED(api_key_list)
UNUSED(api_key_add)
UNUSED(api_key_remove)
UNUSED(api_user_list)
UNUSED(api_user_make)
UNUSED(api_project_list)
UNUSED(api_project_make)
UNUSED(api_member_list)
UNUSED(api_member_set)

#define UNUSED_AGAIN(name)                                                                         \
	void name(struct api_call *c, const char *object)                                          \
	{                                                                                          \
		abort();                                                                           \
	}
UNUSED_AGAIN(api_vm_made_again)
UNUSED_AGAIN(api_vm_acted_again)
UNUSED_AGAIN(api_session_made_again)
UNUSED_AGAIN(api_key_made_again)
UNUSED_AGAIN(api_user_made_again)
UNUSED_AGAIN(api_project_made_again)

#define UNUSED_ONCE(name)                                                                          \
	bool name(const struct api_call *c)                                                        \
	{                                                                                          \
		abort();                                                                           \
	}
UNUSED_ONCE(api_vm_acts_once)
UNUSED_ONCE(api_vm_keys_once)

static json_t *choices_json(const char *const *choices)
{
	json_t *list = json_array();

	for (const char *const *c = choices; c && *c; c++) {
		json_array_append_new(list, json_string(*c));
	}
	return list;
}

static json_t *fields_json(const struct field *table)
{
	static const char *const types[] = {
		[FIELD_STRING] = "string", [FIELD_NAME] = "name",
		[FIELD_CHOICE] = "choice", [FIELD_INTEGER] = "integer",
		[FIELD_BOOL] = "bool",	   [FIELD_STRINGS] = "strings",
		[FIELD_NAMES] = "names",   [FIELD_CHOICES] = "choices",
	};
	json_t *fields = json_object();

	for (const struct field *f = table; f->name; f++) {
		json_object_set_new(fields, f->name,
				    json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:o}", "type",
					      types[f->type], "required", f->required, "min",
					      (json_int_t)f->min, "max", (json_int_t)f->max,
					      "items_min", (json_int_t)f->items_min, "items_max",
					      (json_int_t)f->items_max, "choices",
					      choices_json(f->choices)));
	}
	return fields;
}

static json_t *route_json(const struct api_route *r)
{
	return json_pack("{s:s, s:s, s:b, s:b, s:b, s:o, s:o}", "method", r->method, "path",
			 r->path, "public", !!(r->flags & API_PUBLIC), "body_optional",
			 !!(r->flags & API_BODY_OPTIONAL), "made", !!(r->flags & API_MADE), "query",
			 fields_json(r->query), "body",
			 r->body ? fields_json(r->body) : json_null());
}

int main(void)
{
	json_t *routes = json_array(), *codes = json_object(), *all;

	for (size_t i = 0; i < api_n_routes; i++) {
		json_array_append_new(routes, route_json(&api_routes[i]));
	}
	for (int code = FAULT_NONE + 1; code < _FAULT_MAX; code++) {
		json_object_set_new(codes, fault_code_name((enum fault_code)code),
				    json_integer(fault_code_http_status((enum fault_code)code)));
	}
	all = json_pack("{s:o, s:o}", "routes", routes, "codes", codes);
	if (!all || json_dumpf(all, stdout, JSON_INDENT(1)) < 0) {
		return EXIT_FAILURE;
	}
	json_decref(all);
	return EXIT_SUCCESS;
}
