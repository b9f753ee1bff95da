/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of sessions, targets and attachments. */
#include "store_session.h"

#include <string.h>

#include "store_driver.h"

static const char *const kind_names[] = {
	[ATTACHMENT_CONSOLE] = "console",
	[ATTACHMENT_DISK] = "disk",
	[ATTACHMENT_SERIAL0] = "serial0",
	[ATTACHMENT_SERIAL1] = "serial1",
	[ATTACHMENT_SERIAL2] = "serial2",
	[ATTACHMENT_SERIAL3] = "serial3",
	[ATTACHMENT_VNC] = "vnc",
	[ATTACHMENT_GDB] = "gdb",
	[ATTACHMENT_PARALLEL0] = "parallel0",
	[ATTACHMENT_MEMORY] = "memory",
};
static_assert(ARRAY_SIZE(kind_names) == _ATTACHMENT_KIND_MAX, "a name for each kind");

static const char *const attachment_state_names[] = {
	[ATTACHMENT_WANTED] = "wanted",
	[ATTACHMENT_ATTACHED] = "attached",
	[ATTACHMENT_DETACHING] = "detaching",
	[ATTACHMENT_GONE] = "gone",
};
static_assert(ARRAY_SIZE(attachment_state_names) == _ATTACHMENT_STATE_MAX, "a name for each state");

const char *attachment_kind_name(enum attachment_kind k)
{
	return k < _ATTACHMENT_KIND_MAX ? kind_names[k] : "unknown";
}

const char *attachment_state_name(enum attachment_state s)
{
	return s < _ATTACHMENT_STATE_MAX ? attachment_state_names[s] : "unknown";
}

bool attachment_is_serial(enum attachment_kind k)
{
	return k >= ATTACHMENT_SERIAL0 && k <= ATTACHMENT_SERIAL3;
}

bool attachment_is_port(enum attachment_kind k)
{
	return attachment_is_serial(k) || k == ATTACHMENT_PARALLEL0;
}

bool attachment_is_wished(enum attachment_kind k)
{
	return k == ATTACHMENT_DISK || k == ATTACHMENT_MEMORY || attachment_is_port(k);
}

bool attachment_has_relay(enum attachment_kind k)
{
	return k != ATTACHMENT_DISK && k != ATTACHMENT_MEMORY;
}

int attachment_kind_parse(const char *name, enum attachment_kind *ret)
{
	for (unsigned i = 0; i < _ATTACHMENT_KIND_MAX; i++) {
		if (strcmp(name, kind_names[i]) == 0) {
			*ret = (enum attachment_kind)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int attachment_state_parse(const char *name, enum attachment_state *ret)
{
	for (unsigned i = 0; i < _ATTACHMENT_STATE_MAX; i++) {
		if (strcmp(name, attachment_state_names[i]) == 0) {
			*ret = (enum attachment_state)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* "" in the record where there is none. */
static const char *fault_column(const struct fault *f)
{
	return f->code == FAULT_NONE ? "" : fault_code_name(f->code);
}

void session_row_fini(struct session_row *row)
{
	json_decref(row->stacks);
	json_decref(row->keys);
	row->stacks = row->keys = NULL;
}

struct session_row *session_rows_free(struct session_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		session_row_fini(&rows[i]);
	}
	free(rows);
	return NULL;
}

#define COLUMNS                                                                                    \
	"id, owner, project_id, rights, state, state_at, image, stacks, keys, host_key, "          \
	"placement, "                                                                              \
	"lease_length, lease_expires, lease_warned, created, ready_at, ended, fault_code, "        \
	"fault_message, fault_hint, end_reason"

static void fini_session(void *row)
{
	session_row_fini(row);
}

static int decode_session(const struct store_cursor *row, void *ret)
{
	struct session_row *s = ret;

	row_copy(row, 0, s->id);
	row_copy(row, 1, s->owner);
	row_copy(row, 2, s->project);
	s->rights = (unsigned)row_number(row, 3);
	if (session_state_parse(row_text(row, 4), &s->state) < 0) {
		return -EBADMSG;
	}
	s->state_at = (usec_t)row_number(row, 5);
	row_copy(row, 6, s->image);
	row_copy(row, 9, s->host_key);
	row_copy(row, 10, s->placement);
	s->lease_length = (usec_t)row_number(row, 11);
	s->lease_expires = (usec_t)row_number(row, 12);
	s->lease_warned = row_number(row, 13) != 0;
	s->created = (usec_t)row_number(row, 14);
	s->ready_at = (usec_t)row_number(row, 15);
	s->ended = (usec_t)row_number(row, 16);
	row_fault(row, 17, &s->fault);
	row_copy(row, 20, s->end_reason);
	s->stacks = row_json(row, 7);
	s->keys = row_json(row, 8);
	if (!s->stacks || !s->keys) {
		session_row_fini(s);
		return -ENOMEM;
	}
	return 0;
}

int store_session_add(struct store *s, const struct session_row *row, struct fault *fault)
{
	_cleanup_free_ char *stacks = store_json_text(row->stacks);
	_cleanup_free_ char *keys = store_json_text(row->keys);

	if (!stacks || !keys) {
		return store_no_memory(fault);
	}
	return store_change(s, true, fault,
			    "INSERT INTO sessions (" COLUMNS
			    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, "
			    "$11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)",
			    TEXT(row->id), TEXT(row->owner), TEXT(row->project),
			    NUMBER(row->rights), TEXT(session_state_name(row->state)),
			    NUMBER(row->state_at), TEXT(row->image), TEXT(stacks), TEXT(keys),
			    TEXT(row->host_key), TEXT(row->placement), NUMBER(row->lease_length),
			    NUMBER(row->lease_expires), NUMBER(row->lease_warned),
			    NUMBER(row->created), NUMBER(row->ready_at), NUMBER(row->ended),
			    TEXT(fault_column(&row->fault)), TEXT(row->fault.message),
			    TEXT(row->fault.hint), TEXT(row->end_reason));
}

int store_session_get(struct store *s, const char *id, struct session_row *ret, struct fault *fault)
{
	struct session_row row = { 0 };
	int r = store_one(s, decode_session, &row, fault,
			  "SELECT " COLUMNS " FROM sessions WHERE id = $1", TEXT(id));

	if (r == 0) {
		*ret = row;
	}
	return r;
}

int store_session_list(struct store *s, const struct session_filter *filter, unsigned limit,
		       const char *after, struct session_row **ret, size_t *ret_n,
		       struct fault *fault)
{
	return store_many(s, decode_session, fini_session, sizeof(**ret), ret, ret_n, fault,
			  "SELECT " COLUMNS " FROM sessions WHERE "
			  "($1 = '' OR seq < (SELECT seq FROM sessions WHERE id = $1)) "
			  "AND ($2 = '' OR $2 LIKE '%,' || project_id || ',%') "
			  "AND ($3 = 0 OR ended = 0) ORDER BY seq DESC LIMIT $4",
			  TEXT(after ?: ""), TEXT(filter->projects ?: ""), NUMBER(filter->live),
			  NUMBER(page_limit(limit)));
}

int store_session_update(struct store *s, const struct session_row *row, struct fault *fault)
{
	_cleanup_free_ char *stacks = store_json_text(row->stacks);

	if (!stacks) {
		return store_no_memory(fault);
	}
	return store_change(
		s, true, fault,
		"UPDATE sessions SET state = $2, state_at = $3, image = $4, host_key = $5, "
		"lease_length = $6, lease_expires = $7, lease_warned = $8, ready_at = $9, "
		"ended = $10, fault_code = $11, fault_message = $12, fault_hint = $13, "
		"end_reason = $14, stacks = $15 WHERE id = $1",
		TEXT(row->id), TEXT(session_state_name(row->state)), NUMBER(row->state_at),
		TEXT(row->image), TEXT(row->host_key), NUMBER(row->lease_length),
		NUMBER(row->lease_expires), NUMBER(row->lease_warned), NUMBER(row->ready_at),
		NUMBER(row->ended), TEXT(fault_column(&row->fault)), TEXT(row->fault.message),
		TEXT(row->fault.hint), TEXT(row->end_reason), TEXT(stacks));
}

static int decode_number(const struct store_cursor *row, void *ret)
{
	*(int64_t *)ret = row_number(row, 0);
	return 0;
}

int store_session_count_live(struct store *s, const char *project, size_t *ret, struct fault *fault)
{
	int64_t n = 0;
	int r = store_one(s, decode_number, &n, fault,
			  "SELECT count(*) FROM sessions WHERE project_id = $1 AND ended = 0",
			  TEXT(project));

	if (r == 0) {
		*ret = (size_t)n;
	}
	return r;
}

int store_target_add(struct store *s, const char *session, const struct target_row *t,
		     struct fault *fault)
{
	return store_change(s, true, fault,
			    "INSERT INTO session_targets (session_id, number, vm_id, name) "
			    "VALUES ($1, $2, $3, $4)",
			    TEXT(session), NUMBER(t->index), TEXT(t->vm), TEXT(t->name));
}

static int decode_target(const struct store_cursor *row, void *ret)
{
	struct target_row *t = ret;

	t->index = (unsigned)row_number(row, 0);
	row_copy(row, 1, t->vm);
	row_copy(row, 2, t->name);
	return 0;
}

int store_target_list(struct store *s, const char *session, struct target_row *ret, size_t *ret_n,
		      struct fault *fault)
{
	_cleanup_free_ struct target_row *rows = NULL;
	size_t n = 0;
	int r = store_many(s, decode_target, NULL, sizeof(*rows), &rows, &n, fault,
			   "SELECT number, vm_id, name FROM session_targets WHERE session_id = $1 "
			   "ORDER BY number LIMIT $2",
			   TEXT(session), NUMBER(SESSION_TARGETS_MAX));

	if (r == 0) {
		if (n > 0) {
			memcpy(ret, rows, n * sizeof(*rows));
		}
		*ret_n = n;
	}
	return r;
}

static int decode_id(const struct store_cursor *row, void *ret)
{
	row_copy_n(row, 0, ret, ID_MAX);
	return 0;
}

int store_session_of_vm(struct store *s, const char *vm, char ret_session[ID_MAX],
			struct fault *fault)
{
	return store_one(
		s, decode_id, ret_session, fault,
		"SELECT s.id FROM session_targets t JOIN sessions s ON s.id = t.session_id "
		"WHERE t.vm_id = $1 AND s.ended = 0",
		TEXT(vm));
}

void attachment_row_fini(struct attachment_row *row)
{
	json_decref(row->devices);
	row->devices = NULL;
}

struct attachment_row *attachment_rows_free(struct attachment_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		attachment_row_fini(&rows[i]);
	}
	free(rows);
	return NULL;
}

#define ATTACHMENT_COLUMNS                                                                         \
	"id, session_id, vm_id, kind, mode, required, state, devices, fault_code, fault_message, " \
	"fault_hint, created"

static void fini_attachment(void *row)
{
	attachment_row_fini(row);
}

static int decode_attachment(const struct store_cursor *row, void *ret)
{
	struct attachment_row *a = ret;

	row_copy(row, 0, a->id);
	row_copy(row, 1, a->session);
	row_copy(row, 2, a->vm);
	row_copy(row, 4, a->mode);
	a->required = row_number(row, 5) != 0;
	row_fault(row, 8, &a->fault);
	a->created = (usec_t)row_number(row, 11);
	if (attachment_kind_parse(row_text(row, 3), &a->kind) < 0 ||
	    attachment_state_parse(row_text(row, 6), &a->state) < 0) {
		return -EBADMSG;
	}
	a->devices = row_json(row, 7);
	return a->devices ? 0 : -ENOMEM;
}

int store_attachment_add(struct store *s, const struct attachment_row *a, struct fault *fault)
{
	_cleanup_free_ char *devices = store_json_text(a->devices);

	if (!devices) {
		return store_no_memory(fault);
	}
	return store_change(s, true, fault,
			    "INSERT INTO attachments (" ATTACHMENT_COLUMNS
			    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
			    TEXT(a->id), TEXT(a->session), TEXT(a->vm),
			    TEXT(attachment_kind_name(a->kind)), TEXT(a->mode), NUMBER(a->required),
			    TEXT(attachment_state_name(a->state)), TEXT(devices),
			    TEXT(fault_column(&a->fault)), TEXT(a->fault.message),
			    TEXT(a->fault.hint), NUMBER(a->created));
}

int store_attachment_get(struct store *s, const char *id, struct attachment_row *ret,
			 struct fault *fault)
{
	struct attachment_row row = { 0 };
	int r = store_one(s, decode_attachment, &row, fault,
			  "SELECT " ATTACHMENT_COLUMNS " FROM attachments WHERE id = $1", TEXT(id));

	if (r == 0) {
		*ret = row;
	}
	return r;
}

int store_attachment_list(struct store *s, const char *session, struct attachment_row **ret,
			  size_t *ret_n, struct fault *fault)
{
	return store_many(s, decode_attachment, fini_attachment, sizeof(**ret), ret, ret_n, fault,
			  "SELECT " ATTACHMENT_COLUMNS " FROM attachments WHERE session_id = $1 "
			  "ORDER BY seq LIMIT $2",
			  TEXT(session), NUMBER(STORE_PAGE_MAX));
}

int store_attachment_update(struct store *s, const struct attachment_row *a, struct fault *fault)
{
	_cleanup_free_ char *devices = store_json_text(a->devices);

	if (!devices) {
		return store_no_memory(fault);
	}
	return store_change(s, true, fault,
			    "UPDATE attachments SET state = $2, devices = $3, fault_code = $4, "
			    "fault_message = $5, fault_hint = $6 WHERE id = $1",
			    TEXT(a->id), TEXT(attachment_state_name(a->state)), TEXT(devices),
			    TEXT(fault_column(&a->fault)), TEXT(a->fault.message),
			    TEXT(a->fault.hint));
}
