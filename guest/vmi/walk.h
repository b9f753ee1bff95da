/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's lists and trees, walked as what they are in a hostile memory: a list that runs in a
 * circle, or is longer than any real one, ends there and is marked.
 */
#pragma once

#include "kernel.h"

#define WALK_MAX 1000000

struct walk {
	struct kernel *k;
	uint64_t head, at, offset;
	uint64_t mark; /* a place passed before (Brent's way of finding circles) */
	uint64_t steps, next_mark;
	bool hlist, done;
};

/* `head`: of the list; `offset`: of the list_head in each entry. */
void list_begin(struct walk *w, struct kernel *k, uint64_t head, uint64_t offset);
/* An hlist, or hlist_nulls: `head` is where the first pointer stands. */
void hlist_begin(struct walk *w, struct kernel *k, uint64_t head, uint64_t offset);
/* False at the end. */
bool list_next(struct walk *w, uint64_t *ret_entry);

/* Calls `each` for every node of a red-black tree, in order, until it returns false. */
void rbtree_walk(struct kernel *k, uint64_t root, uint64_t offset,
		 bool (*each)(struct kernel *k, uint64_t entry, void *user), void *user);
/* A radix tree or xarray; `index`: of the entry. Entries that are values, not pointers, are passed
 * over. */
void xarray_walk(struct kernel *k, uint64_t xarray,
		 bool (*each)(struct kernel *k, uint64_t index, uint64_t entry, void *user),
		 void *user);
/* A maple tree. */
void maple_walk(struct kernel *k, uint64_t tree,
		bool (*each)(struct kernel *k, uint64_t index, uint64_t entry, void *user),
		void *user);
