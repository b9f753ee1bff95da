/* SPDX-License-Identifier: Apache-2.0 */
/* Who uses a machine's memory. */
#include "memory_use.h"

#include <string.h>

#include "counters.h"
#include "object.h"
#include "walk.h"

#define SLABS_MAX 20000
#define NODES_MAX 64
#define ORDER_SHIFT 16 /* OO_SHIFT: kmem_cache_order_objects is order and count in one number */

static uint64_t positive(uint64_t v)
{
	return (int64_t)v > 0 ? v : 0;
}

/* An element of vm_node_stat or vm_zone_stat by its enumerator. */
static uint64_t pages(struct kernel *k, const char *table, const char *type, const char *name)
{
	uint64_t at = kernel_symbol_or_zero(k, table);
	int64_t i = object_enum(k, type, name, -1);

	return at && i >= 0 && i < 256 ? positive(kernel_u64(k, at + (uint64_t)i * 8)) : 0;
}

static uint64_t node_bytes(struct kernel *k, const char *name)
{
	return pages(k, "vm_node_stat", "enum node_stat_item", name) * PAGE_BYTES;
}

static uint64_t number(struct kernel *k, const char *symbol)
{
	uint64_t at = kernel_symbol_or_zero(k, symbol);

	return at ? positive(kernel_u64(k, at)) : 0;
}

void memory_use_read(struct kernel *k, struct memory_use *m)
{
	uint64_t file, reserve;

	*m = (struct memory_use){
		.total = number(k, "_totalram_pages") * PAGE_BYTES,
		.free = pages(k, "vm_zone_stat", "enum zone_stat_item", "NR_FREE_PAGES") *
			PAGE_BYTES,
		.cached = node_bytes(k, "NR_FILE_PAGES"),
		.anonymous = node_bytes(k, "NR_ANON_MAPPED"),
		.shared = node_bytes(k, "NR_SHMEM"),
		.slab_reclaimable = node_bytes(k, "NR_SLAB_RECLAIMABLE_B"),
		.slab_fixed = node_bytes(k, "NR_SLAB_UNRECLAIMABLE_B"),
		.page_tables = node_bytes(k, "NR_PAGETABLE"),
		.kernel_stacks =
			pages(k, "vm_node_stat", "enum node_stat_item", "NR_KERNEL_STACK_KB") *
			1024,
		.vmalloc = number(k, "nr_vmalloc_pages") * PAGE_BYTES,
		.dirty = node_bytes(k, "NR_FILE_DIRTY"),
		.writeback = node_bytes(k, "NR_WRITEBACK"),
		.swap_total = number(k, "total_swap_pages") * PAGE_BYTES,
		.swap_free = number(k, "nr_swap_pages") * PAGE_BYTES,
	};
	/* as the kernel's own estimate, but for the zones' lowest marks: what can be given back of
	 * files and of its own caches, half of it at least */
	reserve = number(k, "totalreserve_pages") * PAGE_BYTES;
	file = node_bytes(k, "NR_ACTIVE_FILE") + node_bytes(k, "NR_INACTIVE_FILE");
	m->available = m->free + file - file / 8 + m->slab_reclaimable / 2;
	m->available = m->available > reserve ? m->available - reserve : 0;
	m->available = MIN(m->available, m->total);
}

static void take_slab(struct kernel *k, uint64_t cache, struct slab *s)
{
	uint64_t nodes = object_at(k, "kmem_cache", cache, "node"), count = 0, order, n;

	*s = (struct slab){ .object_bytes = object_u64(k, "kmem_cache", cache, "object_size") };
	object_text(k, "kmem_cache", cache, "name", s->name, sizeof(s->name));
	order = object_u64(k, "kmem_cache", cache, "oo.x") >> ORDER_SHIFT;
	n = MIN(object_size(k, "kmem_cache", "node") / 8, (uint64_t)NODES_MAX);
	for (uint64_t i = 0; i < n; i++) {
		uint64_t node = kernel_u64(k, nodes + i * 8);

		if (!node) {
			break; /* nodes are numbered from 0 up */
		}
		count += positive(object_u64(k, "kmem_cache_node", node, "nr_slabs.counter"));
		s->objects +=
			positive(object_u64(k, "kmem_cache_node", node, "total_objects.counter"));
	}
	s->bytes = order < 12 ? (count << order) * PAGE_BYTES : 0;
}

void slabs_each(struct kernel *k, void (*each)(const struct slab *s, void *user), void *user)
{
	uint64_t head = kernel_symbol_or_zero(k, "slab_caches"), cache;
	struct walk walk;

	if (!head || !object_has(k, "kmem_cache_node", "nr_slabs") ||
	    !object_has(k, "kmem_cache", "node")) {
		kernel_mark(k, "this kernel does not count its slabs");
		return;
	}
	list_begin(&walk, k, head, object_offset(k, "kmem_cache", "list"));
	for (int i = 0; i < SLABS_MAX && list_next(&walk, &cache); i++) {
		struct slab s;

		take_slab(k, cache, &s);
		each(&s, user);
	}
}

static uint64_t resident(struct kernel *k, uint64_t mm, const char *name)
{
	int64_t i = 0, n;
	static const char *const names[] = { "MM_FILEPAGES", "MM_ANONPAGES", "MM_SWAPENTS",
					     "MM_SHMEMPAGES" };
	uint64_t at;

	/* the enum has no name of its own: its order is that of the interface in mm_types.h */
	for (size_t j = 0; j < ARRAY_SIZE(names); j++) {
		if (strcmp(names[j], name) == 0) {
			i = (int64_t)j;
		}
	}
	if (object_has(k, "mm_struct", "rss_stat.count")) { /* to 6.1 */
		at = object_at(k, "mm_struct", mm, "rss_stat.count");
		n = at ? (int64_t)kernel_u64(k, at + (uint64_t)i * 8) : 0;
	} else {
		at = object_at(k, "mm_struct", mm, "rss_stat");
		n = at ? counter_sum(k, at + (uint64_t)i * object_size(k, "percpu_counter", ""))
		       : 0;
	}
	return n > 0 ? (uint64_t)n * PAGE_BYTES : 0;
}

void process_memory_read(struct kernel *k, const struct task *t, struct process_memory *m)
{
	*m = (struct process_memory){ 0 };
	if (t->mm) {
		m->file = resident(k, t->mm, "MM_FILEPAGES");
		m->anonymous = resident(k, t->mm, "MM_ANONPAGES");
		m->swap = resident(k, t->mm, "MM_SWAPENTS");
		m->shared = resident(k, t->mm, "MM_SHMEMPAGES");
	}
}
