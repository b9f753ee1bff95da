/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's lists and trees. */
#include "walk.h"

#include "object.h"

#define TREE_DEPTH_MAX 64
#define TREE_STEPS_MAX 200000
#define XARRAY_SLOTS_MAX 64
#define MAPLE_DEPTH_MAX 16

void list_begin(struct walk *w, struct kernel *k, uint64_t head, uint64_t offset)
{
	*w = (struct walk){ .k = k, .head = head, .at = head, .offset = offset, .next_mark = 1 };
	w->mark = head;
	w->done = head == 0;
}

void hlist_begin(struct walk *w, struct kernel *k, uint64_t head, uint64_t offset)
{
	list_begin(w, k, head, offset);
	w->hlist = true;
}

bool list_next(struct walk *w, uint64_t *ret_entry)
{
	uint64_t next;

	if (w->done) {
		return false;
	}
	next = kernel_u64(w->k, w->at); /* the pointer to the next is the first of both kinds */
	if (next == 0 || (!w->hlist && next == w->head) || (w->hlist && next & 1)) {
		if (next == 0 && !w->hlist) {
			kernel_mark(w->k, "a list ends in nothing");
		}
		w->done = true;
		return false;
	}
	if ((w->steps > 0 && next == w->mark) || w->steps >= WALK_MAX) {
		kernel_mark(w->k, "a list runs in a circle");
		w->done = true;
		return false;
	}
	if (++w->steps == w->next_mark) {
		w->mark = next;
		w->next_mark *= 2;
	}
	w->at = next;
	*ret_entry = next - w->offset;
	return true;
}

/* ---- red-black trees ---- */

void rbtree_walk(struct kernel *k, uint64_t root, uint64_t offset,
		 bool (*each)(struct kernel *k, uint64_t entry, void *user), void *user)
{
	uint64_t stack[TREE_DEPTH_MAX];
	unsigned depth = 0, steps = 0;
	uint64_t left = object_offset(k, "rb_node", "rb_left"),
		 right = object_offset(k, "rb_node", "rb_right"), node = kernel_u64(k, root);

	while (node || depth > 0) {
		while (node) {
			if (depth == TREE_DEPTH_MAX) {
				kernel_mark(k, "a tree is deeper than any real one");
				return;
			}
			stack[depth++] = node;
			node = kernel_u64(k, node + left);
		}
		node = stack[--depth];
		if (++steps > TREE_STEPS_MAX) {
			kernel_mark(k, "a tree has no end");
			return;
		}
		if (!each(k, node - offset, user)) {
			return;
		}
		node = kernel_u64(k, node + right);
	}
}

/* ---- radix trees ---- */

struct tree_walk {
	struct kernel *k;
	bool (*each)(struct kernel *k, uint64_t index, uint64_t entry, void *user);
	void *user;
	unsigned steps;
	bool stop;
};

static bool tree_step(struct tree_walk *t)
{
	if (++t->steps > TREE_STEPS_MAX && !t->stop) {
		kernel_mark(t->k, "a tree has no end");
		t->stop = true;
	}
	return !t->stop;
}

/* An entry that is a node has the low bits 10. */
static void xarray_entry(struct tree_walk *t, uint64_t entry, uint64_t index, unsigned depth,
			 unsigned parent_shift)
{
	uint64_t node = entry - 2, slots, n, shift;

	if (entry == 0 || !tree_step(t)) {
		return;
	}
	if ((entry & 3) != 2 || entry <= 4096) {
		if ((entry & 3) == 0 && !t->each(t->k, index, entry, t->user)) {
			t->stop = true;
		}
		return;
	}
	shift = object_u64(t->k, "xa_node", node, "shift");
	if (depth == 0 || shift >= parent_shift) {
		kernel_mark(t->k, "a tree's nodes are not in order");
		return;
	}
	slots = object_at(t->k, "xa_node", node, "slots");
	n = object_size(t->k, "xa_node", "slots") / 8;
	for (uint64_t i = 0; i < MIN(n, (uint64_t)XARRAY_SLOTS_MAX) && !t->stop; i++) {
		xarray_entry(t, kernel_u64(t->k, slots + i * 8), index + (i << shift), depth - 1,
			     (unsigned)shift);
	}
}

void xarray_walk(struct kernel *k, uint64_t xarray,
		 bool (*each)(struct kernel *k, uint64_t index, uint64_t entry, void *user),
		 void *user)
{
	struct tree_walk t = { .k = k, .each = each, .user = user };

	xarray_entry(&t, object_u64(k, "xarray", xarray, "xa_head"), 0, 12, 64);
}

/* ---- maple trees (6.1 and later) ---- */

enum { MAPLE_DENSE, MAPLE_LEAF_64, MAPLE_RANGE_64, MAPLE_ARANGE_64 };

static void maple_node(struct tree_walk *t, uint64_t encoded, uint64_t min, uint64_t max,
		       unsigned depth)
{
	uint64_t node = encoded & ~(uint64_t)0xff, pivots, slots, n, start = min;
	unsigned type = encoded >> 3 & 0xf;
	const char *name = type == MAPLE_ARANGE_64 ? "maple_arange_64" : "maple_range_64";

	if (depth == 0 || type == MAPLE_DENSE || type > MAPLE_ARANGE_64) {
		kernel_mark(t->k, "a tree's node is of no known kind");
		return;
	}
	pivots = object_at(t->k, name, node, "pivot");
	slots = object_at(t->k, name, node, "slot");
	n = object_size(t->k, name, "slot") / 8;
	for (uint64_t i = 0; i < MIN(n, (uint64_t)32) && tree_step(t); i++) {
		uint64_t end = i + 1 < n ? kernel_u64(t->k, pivots + i * 8) : max, entry;

		if (end == 0 && i > 0) {
			end = max; /* behind the last pivot */
		}
		if (end < start || end > max) {
			kernel_mark(t->k, "a tree's nodes are not in order");
			return;
		}
		entry = kernel_u64(t->k, slots + i * 8);
		if (entry && type == MAPLE_LEAF_64) {
			if ((entry & 3) == 0 && !t->each(t->k, start, entry, t->user)) {
				t->stop = true;
			}
		} else if (entry) {
			maple_node(t, entry, start, end, depth - 1);
		}
		if (end == max) {
			return;
		}
		start = end + 1;
	}
}

void maple_walk(struct kernel *k, uint64_t tree,
		bool (*each)(struct kernel *k, uint64_t index, uint64_t entry, void *user),
		void *user)
{
	struct tree_walk t = { .k = k, .each = each, .user = user };
	uint64_t root = object_u64(k, "maple_tree", tree, "ma_root");

	if ((root & 3) == 2 && root > 4096) {
		maple_node(&t, root, 0, UINT64_MAX, MAPLE_DEPTH_MAX);
	} else if (root) {
		each(k, 0, root, user);
	}
}
