/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of the API's bodies and queries. */
#include "api_fields.h"

#include "rights.h"

#define REF_MAX API_REF_MAX

static const char *const actions[] = { "on",	 "off", "shutdown", "reboot", "reset", "pause",
				       "resume", "nmi", "hold",	    "unhold", NULL };
static const char *const vm_streams[] = { "console", "vnc", "gdb", NULL };
const char *const api_stream_kinds[] = { "console", "vnc", "gdb", "ssh", NULL };
const char *const api_attach_kinds[] = { "console", "disk",    "vnc",	  "serial0",
					 "serial1", "serial2", "serial3", "parallel0",
					 "gdb",	    "memory",  NULL };
/* Consoles, displays and debuggers are attached as long as the session is there. */
const char *const api_later_kinds[] = { "disk",	   "serial0",	"serial1", "serial2",
					"serial3", "parallel0", "memory",  NULL };
const char *const api_stream_modes[] = { "r", "rw", "take", NULL };
const char *const api_console_history[] = { "kept", "none", NULL };
const char *const api_placements[] = { "auto", "same", "other", NULL };
const char *const api_disk_modes[] = { "ro", "rw", NULL };

/* clang-format off */
const struct field vm_adopt_fields[] = {
	{ .name = "domain", .type = FIELD_STRING, .required = true, .min = 1, .max = 255,
	  .offset = offsetof(struct body_vm_adopt, domain) },
	{ .name = "name", .type = FIELD_NAME, .offset = offsetof(struct body_vm_adopt, name) },
	{ .name = "project", .type = FIELD_NAME, .offset = offsetof(struct body_vm_adopt, project) },
	{ .name = "console_history", .type = FIELD_CHOICE, .choices = api_console_history,
	  .offset = offsetof(struct body_vm_adopt, console_history) },
	{ 0 },
};

const struct field vm_set_fields[] = {
	{ .name = "console_history", .type = FIELD_CHOICE, .required = true, .choices = api_console_history,
	  .offset = offsetof(struct body_vm_set, console_history) },
	{ 0 },
};

const struct field vm_action_fields[] = {
	{ .name = "action", .type = FIELD_CHOICE, .required = true, .choices = actions,
	  .offset = offsetof(struct body_vm_action, action) },
	{ 0 },
};

const struct field vm_keys_fields[] = {
	{ .name = "keys", .type = FIELD_STRINGS, .min = 1, .max = 64, .items_min = 1, .items_max = 16,
	  .offset = offsetof(struct body_keys, keys) },
	{ .name = "text", .type = FIELD_STRING, .min = 1, .max = 256, .offset = offsetof(struct body_keys, text) },
	{ 0 },
};

const struct field vm_stream_open_fields[] = {
	{ .name = "kind", .type = FIELD_CHOICE, .required = true, .choices = vm_streams,
	  .offset = offsetof(struct body_stream_open, kind) },
	{ .name = "mode", .type = FIELD_CHOICE, .choices = api_stream_modes,
	  .offset = offsetof(struct body_stream_open, mode) },
	{ .name = "raw", .type = FIELD_BOOL, .offset = offsetof(struct body_stream_open, raw) },
	{ 0 },
};

const struct field session_stream_open_fields[] = {
	{ .name = "kind", .type = FIELD_CHOICE, .required = true, .choices = api_stream_kinds,
	  .offset = offsetof(struct body_stream_open, kind) },
	{ .name = "vm", .type = FIELD_STRING, .min = 1, .max = REF_MAX,
	  .offset = offsetof(struct body_stream_open, vm) },
	{ .name = "mode", .type = FIELD_CHOICE, .choices = api_stream_modes,
	  .offset = offsetof(struct body_stream_open, mode) },
	{ .name = "raw", .type = FIELD_BOOL, .offset = offsetof(struct body_stream_open, raw) },
	{ 0 },
};

const struct field session_start_fields[] = {
	{ .name = "targets", .type = FIELD_STRINGS, .required = true, .min = 1, .max = REF_MAX,
	  .items_min = 1, .items_max = 8, .offset = offsetof(struct body_session_start, targets) },
	{ .name = "stacks", .type = FIELD_NAMES, .items_max = 16,
	  .offset = offsetof(struct body_session_start, stacks) },
	{ .name = "attach", .type = FIELD_CHOICES, .items_max = 9, .choices = api_attach_kinds,
	  .offset = offsetof(struct body_session_start, attach) },
	{ .name = "ssh_key", .type = FIELD_STRING, .min = 16, .max = 3000,
	  .offset = offsetof(struct body_session_start, ssh_key) },
	{ .name = "lease_s", .type = FIELD_INTEGER, .min = 1, .max = API_LEASE_MAX_S,
	  .offset = offsetof(struct body_session_start, lease_s) },
	{ .name = "image", .type = FIELD_STRING, .min = 1, .max = 64,
	  .offset = offsetof(struct body_session_start, image) },
	{ .name = "placement", .type = FIELD_CHOICE, .choices = api_placements,
	  .offset = offsetof(struct body_session_start, placement) },
	{ 0 },
};

const struct field session_renew_fields[] = {
	{ .name = "lease_s", .type = FIELD_INTEGER, .min = 1, .max = API_LEASE_MAX_S,
	  .offset = offsetof(struct body_session_renew, lease_s) },
	{ 0 },
};

const struct field stack_add_fields[] = {
	{ .name = "name", .type = FIELD_NAME, .required = true, .offset = offsetof(struct body_stack_add, name) },
	{ 0 },
};

const struct field attach_fields[] = {
	{ .name = "vm", .type = FIELD_STRING, .min = 1, .max = REF_MAX, .offset = offsetof(struct body_attach, vm) },
	{ .name = "kind", .type = FIELD_CHOICE, .required = true, .choices = api_later_kinds,
	  .offset = offsetof(struct body_attach, kind) },
	{ .name = "mode", .type = FIELD_CHOICE, .choices = api_disk_modes,
	  .offset = offsetof(struct body_attach, mode) },
	{ 0 },
};

const struct field token_make_fields[] = {
	{ .name = "name", .type = FIELD_NAME, .offset = offsetof(struct body_token_make, name) },
	{ .name = "user", .type = FIELD_NAME, .offset = offsetof(struct body_token_make, user) },
	{ .name = "rights", .type = FIELD_CHOICES, .items_max = 8, .choices = right_names,
	  .offset = offsetof(struct body_token_make, rights) },
	{ .name = "ttl_s", .type = FIELD_INTEGER, .min = 1, .max = API_TOKEN_TTL_MAX_S,
	  .offset = offsetof(struct body_token_make, ttl_s) },
	{ 0 },
};

const struct field key_add_fields[] = {
	{ .name = "key", .type = FIELD_STRING, .required = true, .min = 16, .max = 3000,
	  .offset = offsetof(struct body_key_add, key) },
	{ .name = "user", .type = FIELD_NAME, .offset = offsetof(struct body_key_add, user) },
	{ .name = "rights", .type = FIELD_CHOICES, .items_max = 8, .choices = right_names,
	  .offset = offsetof(struct body_key_add, rights) },
	{ 0 },
};

const struct field user_make_fields[] = {
	{ .name = "name", .type = FIELD_NAME, .required = true, .offset = offsetof(struct body_user_make, name) },
	{ .name = "rights", .type = FIELD_CHOICES, .items_max = 8, .choices = right_names,
	  .offset = offsetof(struct body_user_make, rights) },
	{ 0 },
};

const struct field project_make_fields[] = {
	{ .name = "name", .type = FIELD_NAME, .required = true, .offset = offsetof(struct body_project_make, name) },
	{ 0 },
};

const struct field member_set_fields[] = {
	{ .name = "rights", .type = FIELD_CHOICES, .required = true, .items_max = 8, .choices = right_names,
	  .offset = offsetof(struct body_member_set, rights) },
	{ 0 },
};

#define QUERY_PROJECT { .name = "project", .type = FIELD_NAME, .offset = offsetof(struct api_query, project) }
#define QUERY_LIMIT { .name = "limit", .type = FIELD_INTEGER, .min = 1, .max = API_PAGE_MAX, \
		      .offset = offsetof(struct api_query, limit) }
#define QUERY_AFTER { .name = "after", .type = FIELD_STRING, .min = 1, .max = 64, \
		      .offset = offsetof(struct api_query, after) }
#define QUERY_AFTER_SEQ { .name = "after", .type = FIELD_INTEGER, .min = 0, .max = INT64_MAX, \
			  .offset = offsetof(struct api_query, after_seq) }
#define QUERY_SESSION { .name = "session", .type = FIELD_STRING, .min = 1, .max = 39, \
			.offset = offsetof(struct api_query, session) }

const struct field no_query[] = { { 0 } };
const struct field page_query[] = { QUERY_LIMIT, QUERY_AFTER, { 0 } };
const struct field seq_query[] = { QUERY_LIMIT, QUERY_AFTER_SEQ, { 0 } };
const struct field vm_list_query[] = { QUERY_PROJECT, QUERY_LIMIT, QUERY_AFTER, { 0 } };
const struct field session_list_query[] = {
	QUERY_PROJECT,
	{ .name = "all", .type = FIELD_BOOL, .offset = offsetof(struct api_query, all) },
	QUERY_LIMIT,
	QUERY_AFTER,
	{ 0 },
};
const struct field event_query[] = { QUERY_SESSION, QUERY_AFTER_SEQ, { 0 } };
const struct field audit_query[] = { QUERY_PROJECT, QUERY_SESSION, QUERY_LIMIT, QUERY_AFTER_SEQ, { 0 } };
/* clang-format on */
