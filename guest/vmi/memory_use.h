/* SPDX-License-Identifier: Apache-2.0 */
/* Who uses a machine's memory. */
#pragma once

#include "task.h"

struct memory_use {
	uint64_t total, free, available, cached, anonymous, shared, slab_reclaimable, slab_fixed,
		page_tables, kernel_stacks, vmalloc, dirty, writeback, swap_total, swap_free;
};

struct slab {
	char name[64];
	uint64_t object_bytes, objects, bytes;
};

struct process_memory {
	uint64_t anonymous, file, shared, swap;
};

/* Bytes; what this kernel does not count is 0. */
void memory_use_read(struct kernel *k, struct memory_use *ret);
/* Calls `each` for each cache of kernel objects; `objects` is how many there is room for. */
void slabs_each(struct kernel *k, void (*each)(const struct slab *s, void *user), void *user);
void process_memory_read(struct kernel *k, const struct task *t, struct process_memory *ret);
