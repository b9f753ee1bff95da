/* SPDX-License-Identifier: Apache-2.0 */
/* The bodies and queries of the API: a struct and a table each. tests/unit/test_openapi.py compares
 * the tables with interfaces/openapi.yaml. */
#pragma once

#include "fields.h"

#define API_LEASE_MAX_S 604800
#define API_TOKEN_TTL_MAX_S 315360000
#define API_KEYS_PER_USER 12 /* and one that comes with the request: a session takes 16 */
#define API_PAGE_MAX 200
#define API_REF_MAX 127 /* of a VM: an id, a name, or PROJECT/NAME */
#define API_PAGE_DEFAULT 100

enum api_stream_kind { API_STREAM_CONSOLE, API_STREAM_VNC, API_STREAM_GDB, API_STREAM_SSH };

struct body_vm_adopt {
	const char *domain, *name, *project;
	int console_history; /* index into api_console_history */
};
struct body_vm_set {
	int console_history;
};
struct body_vm_action {
	int action; /* enum power_verb */
};
struct body_keys {
	struct field_list keys;
	const char *text;
};
struct body_stream_open { /* of a VM and of a session */
	int kind;	  /* enum api_stream_kind */
	const char *vm;
	int mode; /* index into api_stream_modes */
	bool raw;
};
struct body_session_start {
	struct field_list targets, stacks;
	unsigned attach; /* bits of api_attach_kinds */
	const char *ssh_key, *image;
	int64_t lease_s; /* 0: default */
	int placement;	 /* index into api_placements */
};
struct body_session_renew {
	int64_t lease_s; /* 0: as at the start */
};
struct body_stack_add {
	const char *name;
};
struct body_attach {
	const char *vm;
	int kind; /* index into api_later_kinds */
	int mode; /* index into api_disk_modes */
};
struct body_token_make {
	const char *name, *user;
	unsigned rights; /* bits of enum right */
	int64_t ttl_s;	 /* 0: no end */
};
struct body_key_add {
	const char *key, *user;
	unsigned rights;
};
struct body_user_make {
	const char *name;
	unsigned rights;
};
struct body_project_make {
	const char *name;
};
struct body_member_set {
	unsigned rights;
};

union api_body {
	struct body_vm_adopt vm_adopt;
	struct body_vm_set vm_set;
	struct body_vm_action vm_action;
	struct body_keys keys;
	struct body_stream_open stream_open;
	struct body_session_start session_start;
	struct body_session_renew session_renew;
	struct body_stack_add stack_add;
	struct body_attach attach;
	struct body_token_make token_make;
	struct body_key_add key_add;
	struct body_user_make user_make;
	struct body_project_make project_make;
	struct body_member_set member_set;
};

/* One for all queries: the tables say which members a path knows. */
struct api_query {
	const char *project, *session;
	int64_t limit;
	const char *after; /* a cursor */
	int64_t after_seq; /* of an event or audit row; -1: not given */
	bool all;
};

extern const char *const api_stream_kinds[];
extern const char *const api_stream_modes[];
extern const char *const api_console_history[];
extern const char *const api_placements[];
extern const char *const api_disk_modes[];
extern const char *const api_attach_kinds[];
extern const char *const api_later_kinds[];

extern const struct field vm_adopt_fields[];
extern const struct field vm_set_fields[];
extern const struct field vm_action_fields[];
extern const struct field vm_keys_fields[];
extern const struct field vm_stream_open_fields[];
extern const struct field session_stream_open_fields[];
extern const struct field session_start_fields[];
extern const struct field session_renew_fields[];
extern const struct field stack_add_fields[];
extern const struct field attach_fields[];
extern const struct field token_make_fields[];
extern const struct field key_add_fields[];
extern const struct field user_make_fields[];
extern const struct field project_make_fields[];
extern const struct field member_set_fields[];

extern const struct field no_query[];
extern const struct field page_query[]; /* limit, after */
extern const struct field seq_query[];	/* limit, after as a number */
extern const struct field vm_list_query[];
extern const struct field session_list_query[];
extern const struct field event_query[];
extern const struct field audit_query[];
