/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual to physical addresses through a machine's own page tables: x86-64, four and five levels,
 * pages of 4 KiB, 2 MiB and 1 GiB. */
#pragma once

#include <stdbool.h>

#include "core.h"

#define PAGE_BYTES ((uint64_t)4096)
#define PAGING_KNOWN 256

/* Translations found before, for each of the three sizes; `tag` is the page's number plus one. */
struct paging_known {
	uint64_t tag, physical;
};

struct paging {
	struct core *core;
	uint64_t root; /* physical address of the top table */
	bool five_levels;
	struct paging_known known[3][PAGING_KNOWN];
};

/* One entry of the table that maps pages of 2 MiB. */
struct paging_range {
	uint64_t start, end; /* virtual */
	bool writable, executable;
};

void paging_init(struct paging *p, struct core *core, uint64_t root, bool five_levels);
/* Forgets what is known: the tables may have changed. */
void paging_forget(struct paging *p);
/*
 * *ret_left: how many bytes from there on are together in physical memory, at least. -EFAULT where
 * nothing is mapped, -EIO.
 */
int paging_translate(struct paging *p, uint64_t address, uint64_t *ret_physical,
		     uint64_t *ret_left) _must_check_;
int paging_read(struct paging *p, uint64_t address, void *to, size_t len) _must_check_;
/*
 * What is mapped between two addresses, in order, neighbours with the same rights as one, up to
 * `max`. Returns how many.
 */
size_t paging_ranges(struct paging *p, uint64_t from, uint64_t to, struct paging_range *ranges,
		     size_t max);
