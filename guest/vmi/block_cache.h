/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads of a file or block device through few, large blocks, each of them kept for a while.
 *
 * What is behind may be live memory: no byte comes from the page cache (O_DIRECT, where it is a
 * device), and block_cache_drop() forgets what was read.
 */
#pragma once

#include <stdbool.h>

#include "macro.h"

#define BLOCK_BYTES 65536
#define BLOCKS_MAX 384 /* 24 MiB */

struct block_cache;

/* `fd` is borrowed. -ENOMEM. */
int block_cache_new(int fd, struct block_cache **ret) _must_check_;
struct block_cache *block_cache_free(struct block_cache *c);
/* All of it or -errno; -EIO behind the end. */
int block_cache_read(struct block_cache *c, uint64_t offset, void *p, size_t len) _must_check_;
/* The next read of any byte is a new one. */
void block_cache_drop(struct block_cache *c);
/* How often something was read, for those who count. */
uint64_t block_cache_reads(const struct block_cache *c);
