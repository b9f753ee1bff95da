/* SPDX-License-Identifier: Apache-2.0 */
/* target mem: who uses the target's memory: the whole, its processes, its kernel's slabs. */
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "disk.h"
#include "memory.h"
#include "memory_use.h"

#define SHOWN 20

static const struct column use_columns[] = {
	{ "what", "WHAT", false },
	{ "bytes", "SIZE", true },
};

static const struct column process_columns[] = {
	{ "pid", "PID", true },
	{ "resident_bytes", "RESIDENT", true },
	{ "anonymous_bytes", "OWN", true },
	{ "file_bytes", "FILES", true },
	{ "shared_bytes", "SHARED", true },
	{ "swap_bytes", "SWAPPED", true },
	{ "name", "NAME", false },
};

static const struct column slab_columns[] = {
	{ "name", "SLAB", false },
	{ "bytes", "SIZE", true },
	{ "objects", "OBJECTS", true },
	{ "object_bytes", "EACH", true },
};

static void size_cell(struct table *t, uint64_t bytes)
{
	char text[24];

	size_format(bytes, text);
	table_number_as(t, (int64_t)bytes, "%s", text);
}

static int fill_use(struct kernel *k, struct invocation *in, struct table *table,
		    struct fault *ret_fault)
{
	struct memory_use m;

	memory_use_read(k, &m);
	const struct {
		const char *what;
		uint64_t bytes;
	} rows[] = {
		{ "total", m.total },
		{ "free", m.free },
		{ "available, about", m.available },
		{ "cached files", m.cached },
		{ "processes' own", m.anonymous },
		{ "shared, tmpfs", m.shared },
		{ "slab, reclaimable", m.slab_reclaimable },
		{ "slab, fixed", m.slab_fixed },
		{ "page tables", m.page_tables },
		{ "kernel stacks", m.kernel_stacks },
		{ "vmalloc", m.vmalloc },
		{ "dirty", m.dirty },
		{ "being written", m.writeback },
		{ "swap", m.swap_total },
		{ "swap, free", m.swap_free },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		table_text(table, "%s", rows[i].what);
		size_cell(table, rows[i].bytes);
	}
	return 0;
}

struct process {
	const struct task *task;
	struct process_memory m;
	uint64_t resident;
};

static int compare_processes(const void *a, const void *b)
{
	const struct process *first = a, *second = b;

	return first->resident > second->resident ? -1 : first->resident < second->resident;
}

static int fill_processes(struct kernel *k, struct invocation *in, struct table *table,
			  struct fault *ret_fault)
{
	_cleanup_free_ struct process *list = NULL;
	struct tasks tasks;
	size_t n = 0;

	if (tasks_load(k, false, &tasks) < 0) {
		return fault_set(ret_fault, FAULT_INTERNAL, "no memory");
	}
	list = calloc(tasks.n + 1, sizeof(*list));
	for (size_t i = 0; list && i < tasks.n; i++) {
		if (tasks.list[i].mm && !tasks.list[i].kernel_thread) {
			struct process *p = &list[n++];

			p->task = &tasks.list[i];
			process_memory_read(k, p->task, &p->m);
			p->resident = p->m.anonymous + p->m.file + p->m.shared;
		}
	}
	if (list) {
		qsort(list, n, sizeof(*list), compare_processes);
	}
	for (size_t i = 0; i < n; i++) {
		table_number(table, list[i].task->tgid);
		size_cell(table, list[i].resident);
		size_cell(table, list[i].m.anonymous);
		size_cell(table, list[i].m.file);
		size_cell(table, list[i].m.shared);
		size_cell(table, list[i].m.swap);
		table_text(table, "%s", list[i].task->name);
	}
	tasks_fini(&tasks);
	return 0;
}

struct slabs {
	struct slab *list;
	size_t n, room;
};

static void add_slab(const struct slab *s, void *user)
{
	struct slabs *all = user;

	if (all->n == all->room) {
		size_t room = all->room ? all->room * 2 : 256;
		struct slab *more = realloc(all->list, room * sizeof(*more));

		if (!more) {
			return;
		}
		all->list = more;
		all->room = room;
	}
	all->list[all->n++] = *s;
}

static int compare_slabs(const void *a, const void *b)
{
	const struct slab *first = a, *second = b;

	return first->bytes > second->bytes ? -1 : first->bytes < second->bytes;
}

static int fill_slabs(struct kernel *k, struct invocation *in, struct table *table,
		      struct fault *ret_fault)
{
	struct slabs all = { 0 };

	slabs_each(k, add_slab, &all);
	if (all.n) {
		qsort(all.list, all.n, sizeof(*all.list), compare_slabs);
	}
	for (size_t i = 0; i < all.n && (in->json || i < SHOWN); i++) {
		table_text(table, "%s", all.list[i].name);
		size_cell(table, all.list[i].bytes);
		table_number(table, (int64_t)all.list[i].objects);
		table_number(table, (int64_t)all.list[i].object_bytes);
	}
	free(all.list);
	return 0;
}

int cmd_mem(const struct command *c, struct invocation *in)
{
	if (in->argc == 0) {
		return memory_table(in, "memory", use_columns, ARRAY_SIZE(use_columns), fill_use);
	}
	if (strcmp(in->argv[0], "processes") == 0) {
		return memory_table(in, "processes", process_columns, ARRAY_SIZE(process_columns),
				    fill_processes);
	}
	if (strcmp(in->argv[0], "slabs") == 0) {
		return memory_table(in, "slabs", slab_columns, ARRAY_SIZE(slab_columns),
				    fill_slabs);
	}
	return usage(c);
}
