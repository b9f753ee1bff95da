/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds a kernel's tables in its own image where nothing says where they are: the symbol table by
 * the order of its tokens, the types by their header. Looks at what the kernel maps of its image
 * (tens of MiB), never at all memory.
 */
#pragma once

#include "kallsyms.h"
#include "paging.h"

#define IMAGE_START ((uint64_t)0xffffffff80000000)
#define IMAGE_END ((uint64_t)0xffffffffc0000000)
#define IMAGE_RANGES_MAX 64

struct image {
	struct paging *paging;
	struct paging_range ranges[IMAGE_RANGES_MAX];
	size_t n;
};

/* Notes what is mapped of the image; false if that is too little to be a kernel. */
bool image_init(struct image *i, struct paging *paging);
/* -ENOENT: none found; -ENOMEM, -EIO. */
int image_find_kallsyms(const struct image *i, struct kallsyms **ret) _must_check_;
/* The type description: where it is and how long. -ENOENT. */
int image_find_btf(const struct image *i, uint64_t *ret_address, size_t *ret_len) _must_check_;
