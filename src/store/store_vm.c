/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of VMs. */
#include "store_vm.h"

#include <string.h>

#include "clock.h"
#include "store_driver.h"

static const char *const state_names[] = {
	[VM_UNKNOWN] = "unknown", [VM_RUNNING] = "running", [VM_PAUSED] = "paused",
	[VM_OFF] = "off",	  [VM_CRASHED] = "crashed", [VM_GONE] = "gone",
};
static_assert(ARRAY_SIZE(state_names) == _VM_STATE_MAX, "a name for each state");

const char *vm_state_name(enum vm_state s)
{
	return s < _VM_STATE_MAX ? state_names[s] : "unknown";
}

enum vm_state vm_state_parse(const char *name)
{
	if (strcmp(name, "blocked") == 0) {
		return VM_RUNNING;
	}
	for (unsigned i = 0; i < _VM_STATE_MAX; i++) {
		if (strcmp(name, state_names[i]) == 0) {
			return (enum vm_state)i;
		}
	}
	return VM_UNKNOWN;
}

#define COLUMNS                                                                                    \
	"id, name, project_id, cloud, domain, state, state_at, fence, adopted_by, created, "       \
	"no_history, hold"

static int decode_vm(const struct store_cursor *row, void *ret)
{
	struct vm_row *vm = ret;

	row_copy(row, 0, vm->id);
	row_copy(row, 1, vm->name);
	row_copy(row, 2, vm->project);
	row_copy(row, 3, vm->cloud);
	row_copy(row, 4, vm->domain);
	vm->state = vm_state_parse(row_text(row, 5));
	vm->state_at = (usec_t)row_number(row, 6);
	row_copy(row, 7, vm->fence);
	row_copy(row, 8, vm->adopted_by);
	vm->created = (usec_t)row_number(row, 9);
	vm->no_history = row_number(row, 10) != 0;
	vm->hold = row_number(row, 11) != 0;
	return 0;
}

static int get(struct store *s, struct vm_row *ret, struct fault *fault, const char *sql,
	       const char *key)
{
	struct vm_row vm = { 0 };
	int r = store_one(s, decode_vm, &vm, fault, sql, TEXT(key));

	if (r == 0) {
		*ret = vm;
	}
	return r;
}

int store_vm_add(struct store *s, const struct vm_row *vm, struct fault *fault)
{
	return store_change(s, true, fault,
			    "INSERT INTO vms (" COLUMNS
			    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, "
			    "$12)",
			    TEXT(vm->id), TEXT(vm->name), TEXT(vm->project), TEXT(vm->cloud),
			    TEXT(vm->domain), TEXT(vm_state_name(vm->state)), NUMBER(vm->state_at),
			    TEXT(vm->fence), TEXT(vm->adopted_by), NUMBER(vm->created),
			    NUMBER(vm->no_history), NUMBER(vm->hold));
}

int store_vm_get(struct store *s, const char *id, struct vm_row *ret, struct fault *fault)
{
	return get(s, ret, fault, "SELECT " COLUMNS " FROM vms WHERE id = $1", id);
}

int store_vm_by_name(struct store *s, const char *projects, const char *name, struct vm_row ret[2],
		     size_t *ret_n, struct fault *fault)
{
	_cleanup_free_ struct vm_row *rows = NULL;
	size_t n = 0;
	int r = store_many(s, decode_vm, NULL, sizeof(*rows), &rows, &n, fault,
			   "SELECT " COLUMNS " FROM vms WHERE name = $1 AND ($2 = '' OR $2 LIKE "
			   "'%,' || project_id || ',%') ORDER BY id LIMIT 2",
			   TEXT(name), TEXT(projects ?: ""));

	if (r == 0) {
		for (size_t i = 0; i < n; i++) {
			ret[i] = rows[i];
		}
		*ret_n = n;
	}
	return r;
}

int store_vm_by_domain(struct store *s, const char *domain, struct vm_row *ret, struct fault *fault)
{
	return get(s, ret, fault, "SELECT " COLUMNS " FROM vms WHERE domain = $1", domain);
}

int store_vm_list(struct store *s, const char *projects, unsigned limit, const char *after,
		  struct vm_row **ret, size_t *ret_n, struct fault *fault)
{
	return store_many(s, decode_vm, NULL, sizeof(**ret), ret, ret_n, fault,
			  "SELECT " COLUMNS " FROM vms WHERE id > $1 AND ($2 = '' OR $2 LIKE "
			  "'%,' || project_id || ',%') ORDER BY id LIMIT $3",
			  TEXT(after ?: ""), TEXT(projects ?: ""), NUMBER(page_limit(limit)));
}

int store_vm_set_state(struct store *s, const char *id, enum vm_state state, struct fault *fault)
{
	return store_change(s, true, fault,
			    "UPDATE vms SET state = $2, state_at = $3 WHERE id = $1", TEXT(id),
			    TEXT(vm_state_name(state)), NUMBER(clock_realtime()));
}

int store_vm_set_no_history(struct store *s, const char *id, bool no_history, struct fault *fault)
{
	return store_change(s, true, fault, "UPDATE vms SET no_history = $2 WHERE id = $1",
			    TEXT(id), NUMBER(no_history));
}

int store_vm_set_hold(struct store *s, const char *id, bool hold, struct fault *fault)
{
	return store_change(s, true, fault, "UPDATE vms SET hold = $2 WHERE id = $1", TEXT(id),
			    NUMBER(hold));
}

int store_vm_set_fence(struct store *s, const char *id, const char *session, struct fault *fault)
{
	struct vm_row vm;
	int r = store_change(
		s, true, fault,
		"UPDATE vms SET fence = $2 WHERE id = $1 AND (fence = '' OR fence = $2 OR "
		"$2 = '')",
		TEXT(id), TEXT(session));

	if (r == -ENOENT && store_vm_get(s, id, &vm, fault) == 0) {
		return -EEXIST;
	}
	return r;
}

int store_vm_list_fenced(struct store *s, unsigned limit, const char *after, struct vm_row **ret,
			 size_t *ret_n, struct fault *fault)
{
	return store_many(s, decode_vm, NULL, sizeof(**ret), ret, ret_n, fault,
			  "SELECT " COLUMNS " FROM vms WHERE fence <> '' AND id > $1 ORDER BY id "
			  "LIMIT $2",
			  TEXT(after ?: ""), NUMBER(page_limit(limit)));
}

int store_vm_remove(struct store *s, const char *id, struct fault *fault)
{
	return store_change(s, true, fault, "DELETE FROM vms WHERE id = $1", TEXT(id));
}
