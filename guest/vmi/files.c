/* SPDX-License-Identifier: Apache-2.0 */
/* The open files and the address space of a process. */
#include "files.h"

#include <stdio.h>
#include <string.h>

#include "le.h"
#include "object.h"
#include "walk.h"

#define CHUNK 512

/* include/linux/mm.h, the same since long before 5.10 */
#define AREA_READ 0x1u
#define AREA_WRITE 0x2u
#define AREA_EXECUTE 0x4u
#define AREA_MAY_SHARE 0x80u

void files_each(struct kernel *k, const struct task *t,
		bool (*each)(struct kernel *k, unsigned fd, uint64_t file, void *user), void *user)
{
	uint64_t table = object_u64(k, "task_struct", t->address, "files->fdt");
	uint64_t n = table ? object_u64(k, "fdtable", table, "max_fds") : 0;
	uint64_t fds = table ? object_u64(k, "fdtable", table, "fd") : 0;
	uint8_t chunk[CHUNK * 8];

	if (n > FILES_MAX) {
		kernel_mark(k, "process %d has more than %d files", t->tgid, FILES_MAX);
		n = FILES_MAX;
	}
	for (uint64_t at = 0; fds && at < n; at += CHUNK) {
		size_t len = (size_t)MIN(n - at, (uint64_t)CHUNK);

		if (kernel_read(k, fds + at * 8, chunk, len * 8) < 0) {
			kernel_mark(k, "the files of process %d cannot be read", t->tgid);
			return;
		}
		for (size_t i = 0; i < len; i++) {
			uint64_t file = le_u64(chunk + i * 8);

			if (file && !each(k, (unsigned)(at + i), file, user)) {
				return;
			}
		}
	}
}

struct collector {
	const struct task *task;
	void (*each)(const struct area *a, void *user);
	void *user;
	uint64_t brk_start, brk_end, stack, special;
	unsigned n;
};

static void name_area(struct kernel *k, uint64_t vma, const struct collector *c, struct area *a)
{
	uint64_t file = object_u64(k, "vm_area_struct", vma, "vm_file");

	if (file) {
		path_of_file(k, file, a->name);
	} else if (c->special && object_u64(k, "vm_area_struct", vma, "vm_ops") == c->special) {
		object_text(k, "vm_special_mapping",
			    object_u64(k, "vm_area_struct", vma, "vm_private_data"), "name",
			    a->name, sizeof(a->name));
	} else if (a->start <= c->brk_end && a->end >= c->brk_start) {
		strcpy(a->name, "[heap]");
	} else if (a->start <= c->stack && a->end >= c->stack) {
		strcpy(a->name, "[stack]");
	}
}

static bool visit(struct kernel *k, uint64_t index, uint64_t vma, void *user)
{
	struct collector *c = user;
	uint64_t flags = object_u64(k, "vm_area_struct", vma, "vm_flags");
	struct area a = {
		.start = object_u64(k, "vm_area_struct", vma, "vm_start"),
		.end = object_u64(k, "vm_area_struct", vma, "vm_end"),
		.read = flags & AREA_READ,
		.write = flags & AREA_WRITE,
		.execute = flags & AREA_EXECUTE,
		.shared = flags & AREA_MAY_SHARE,
	};

	if (object_u64(k, "vm_area_struct", vma, "vm_file")) {
		a.offset_bytes = object_u64(k, "vm_area_struct", vma, "vm_pgoff") * PAGE_BYTES;
	}
	name_area(k, vma, c, &a);
	c->each(&a, c->user);
	if (++c->n == AREAS_MAX) {
		kernel_mark(k, "process %d has more than %d areas", c->task->tgid, AREAS_MAX);
		return false;
	}
	return true;
}

void areas_each(struct kernel *k, const struct task *t,
		void (*each)(const struct area *a, void *user), void *user)
{
	struct collector c = { .task = t, .each = each, .user = user };

	if (!t->mm) {
		return;
	}
	c.brk_start = object_u64(k, "mm_struct", t->mm, "start_brk");
	c.brk_end = object_u64(k, "mm_struct", t->mm, "brk");
	c.stack = object_u64(k, "mm_struct", t->mm, "start_stack");
	c.special = kernel_symbol_or_zero(k, "special_mapping_vmops");
	if (object_has(k, "mm_struct", "mm_mt")) { /* 6.1 and later */
		maple_walk(k, object_at(k, "mm_struct", t->mm, "mm_mt"), visit, &c);
		return;
	}
	for (uint64_t vma = object_u64(k, "mm_struct", t->mm, "mmap"); vma;
	     vma = object_u64(k, "vm_area_struct", vma, "vm_next")) {
		if (!visit(k, 0, vma, &c)) {
			return;
		}
	}
}
