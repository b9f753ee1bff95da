/* SPDX-License-Identifier: Apache-2.0 */
/* target locks: tasks of the target that wait for a lock, which one, and who has it. */
#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "locks.h"
#include "memory.h"

static const struct column columns[] = {
	{ "lock", "LOCK", false },   { "kind", "KIND", false },
	{ "pid", "WAITER", true },   { "name", "", false },
	{ "wants", "WANTS", false }, { "owner_pid", "OWNER", true },
	{ "owner_name", "", false }, { "owner_state", "OWNER IS", false },
};

static const char *const kinds[] = { "mutex", "rwsem", "rt-mutex" };

static int compare(const void *a, const void *b)
{
	const struct lock_wait *first = a, *second = b;

	return first->lock < second->lock ? -1 : first->lock > second->lock;
}

static void row(struct table *table, struct symbols *s, const struct lock_wait *w)
{
	char name[SYMBOL_TEXT_MAX];

	symbols_name(s, w->lock, name);
	table_text(table, "%s", name);
	table_text(table, "%s", kinds[w->kind]);
	table_number(table, w->waiter->pid);
	table_text(table, "%s", w->waiter->name);
	table_text(table, "%s", w->kind != LOCK_RWSEM ? "-" : w->to_write ? "write" : "read");
	if (!w->owner) {
		table_none(table);
		table_none(table);
		table_none(table);
		return;
	}
	table_number(table, w->owner->pid);
	table_text(table, "%s", w->owner->name);
	table_text(table, "%s%s",
		   w->owner->on_cpu >= 0 ? "on a CPU" : task_state_name(w->owner->state),
		   w->owner_reads ? ", reads (others may too)" : "");
}

static int fill(struct kernel *k, struct invocation *in, struct table *table,
		struct fault *ret_fault)
{
	_cleanup_free_ struct lock_wait *waits = calloc(LOCK_WAITS_MAX, sizeof(*waits));
	struct stacks s;
	struct tasks tasks;
	size_t n;

	if (!waits) {
		return fault_set(ret_fault, FAULT_INTERNAL, "no memory");
	}
	if (stacks_open(k, &s, ret_fault) < 0) {
		return -EREMOTEIO;
	}
	if (tasks_load(k, true, &tasks) < 0) {
		stacks_close(&s);
		return fault_set(ret_fault, FAULT_INTERNAL, "no memory");
	}
	n = locks_find(&s, &tasks, waits, LOCK_WAITS_MAX);
	qsort(waits, n, sizeof(*waits), compare);
	for (size_t i = 0; i < n; i++) {
		row(table, s.symbols, &waits[i]);
	}
	tasks_fini(&tasks);
	stacks_close(&s);
	return 0;
}

int cmd_locks(const struct command *c, struct invocation *in)
{
	return memory_table(in, "waits", columns, ARRAY_SIZE(columns), fill);
}
