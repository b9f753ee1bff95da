/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads through few, large blocks.
 *
 * Theory of operation: a fixed number of slots of BLOCK_BYTES in one aligned mapping, found by a
 * table that is hashed by block number. A slot is given away by the clock algorithm. A miss right
 * behind a block that is here reads several blocks at once, for who walks forward goes on doing
 * so. What is wanted in one piece of BULK_BYTES or more goes past the slots, in reads of
 * BOUNCE_BYTES: symbol tables and type descriptions are copied once and would only push out
 * everything else.
 */
#include "block_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define AHEAD_BLOCKS 4
#define BULK_BYTES (256 * 1024)
#define BOUNCE_BYTES (1024 * 1024)
#define ALIGN_BYTES 4096
#define TABLE_SIZE 1024 /* a power of two, above twice BLOCKS_MAX */
#define NO_BLOCK UINT64_MAX

struct slot {
	uint64_t block;
	size_t len; /* less than BLOCK_BYTES at the end of the file */
	bool used;
	int16_t next; /* in the same bucket, -1: none */
};

struct block_cache {
	int fd;
	uint8_t *mem; /* BLOCKS_MAX blocks, then the bounce buffer */
	struct slot slots[BLOCKS_MAX];
	int16_t table[TABLE_SIZE];
	int hand;
	uint64_t reads;
};

#define MEM_BYTES ((size_t)BLOCKS_MAX * BLOCK_BYTES + BOUNCE_BYTES)

int block_cache_new(int fd, struct block_cache **ret)
{
	struct block_cache *c = calloc(1, sizeof(*c));

	if (!c) {
		return -ENOMEM;
	}
	c->fd = fd;
	c->mem = mmap(NULL, MEM_BYTES, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (c->mem == MAP_FAILED) {
		free(c);
		return -ENOMEM;
	}
	block_cache_drop(c);
	*ret = c;
	return 0;
}

struct block_cache *block_cache_free(struct block_cache *c)
{
	if (c) {
		munmap(c->mem, MEM_BYTES);
		free(c);
	}
	return NULL;
}

void block_cache_drop(struct block_cache *c)
{
	memset(c->table, -1, sizeof(c->table));
	for (int i = 0; i < BLOCKS_MAX; i++) {
		c->slots[i] = (struct slot){ .block = NO_BLOCK, .next = -1 };
	}
}

uint64_t block_cache_reads(const struct block_cache *c)
{
	return c->reads;
}

static int16_t *bucket(struct block_cache *c, uint64_t block)
{
	return &c->table[(block * 0x9e3779b97f4a7c15u) >> 54];
}

static int find(struct block_cache *c, uint64_t block)
{
	for (int i = *bucket(c, block); i >= 0; i = c->slots[i].next) {
		if (c->slots[i].block == block) {
			return i;
		}
	}
	return -1;
}

static void unlink_slot(struct block_cache *c, int i)
{
	if (c->slots[i].block != NO_BLOCK) {
		int16_t *p = bucket(c, c->slots[i].block);

		while (*p != i) {
			p = &c->slots[*p].next;
		}
		*p = c->slots[i].next;
		c->slots[i].block = NO_BLOCK;
	}
}

static int take_slot(struct block_cache *c)
{
	while (c->slots[c->hand].used) {
		c->slots[c->hand].used = false;
		c->hand = (c->hand + 1) % BLOCKS_MAX;
	}
	unlink_slot(c, c->hand);
	c->hand = (c->hand + 1) % BLOCKS_MAX;
	return (c->hand + BLOCKS_MAX - 1) % BLOCKS_MAX;
}

/* Reads `block` and those behind it that are likely to be wanted; returns the slot or -errno. */
static int load(struct block_cache *c, uint64_t block)
{
	struct iovec parts[AHEAD_BLOCKS];
	int taken[AHEAD_BLOCKS], n = 1;
	ssize_t got;

	if (block > 0 && find(c, block - 1) >= 0) {
		while (n < AHEAD_BLOCKS && find(c, block + n) < 0) {
			n++;
		}
	}
	for (int k = 0; k < n; k++) {
		taken[k] = take_slot(c);
		c->slots[taken[k]].used = true; /* so that no later one of these takes it */
		parts[k] = (struct iovec){ c->mem + (size_t)taken[k] * BLOCK_BYTES, BLOCK_BYTES };
	}
	c->reads++;
	got = preadv(c->fd, parts, n, (off_t)(block * BLOCK_BYTES));
	if (got <= 0 && n > 1) {
		/* one bad page behind it is no reason not to give this block */
		got = preadv(c->fd, parts, 1, (off_t)(block * BLOCK_BYTES));
	}
	for (int k = 0; k < n; k++) {
		struct slot *s = &c->slots[taken[k]];
		int16_t *head = bucket(c, block + k);

		s->used = k == 0;
		if (got <= 0) {
			continue;
		}
		s->block = block + k;
		s->len = MIN((size_t)got, (size_t)BLOCK_BYTES);
		got -= (ssize_t)s->len;
		s->next = *head;
		*head = (int16_t)taken[k];
	}
	return c->slots[taken[0]].block == block ? taken[0] : -EIO;
}

static int read_bulk(struct block_cache *c, uint64_t offset, uint8_t *p, size_t len)
{
	uint8_t *bounce = c->mem + (size_t)BLOCKS_MAX * BLOCK_BYTES;

	while (len > 0) {
		uint64_t start = offset & ~(uint64_t)(ALIGN_BYTES - 1);
		size_t skip = offset - start;
		size_t want = MIN(len + skip, (size_t)BOUNCE_BYTES);
		ssize_t got;

		want = (want + ALIGN_BYTES - 1) & ~(size_t)(ALIGN_BYTES - 1);
		c->reads++;
		got = pread(c->fd, bounce, want, (off_t)start);
		if (got <= (ssize_t)skip) {
			return -EIO;
		}
		want = MIN(len, (size_t)got - skip);
		memcpy(p, bounce + skip, want);
		p += want;
		offset += want;
		len -= want;
	}
	return 0;
}

int block_cache_read(struct block_cache *c, uint64_t offset, void *p, size_t len)
{
	uint8_t *to = p;

	if (offset > INT64_MAX - len) {
		return -EIO;
	}
	if (len >= BULK_BYTES) {
		return read_bulk(c, offset, to, len);
	}
	while (len > 0) {
		size_t skip = offset % BLOCK_BYTES, n;
		int i = find(c, offset / BLOCK_BYTES);

		if (i < 0) {
			i = load(c, offset / BLOCK_BYTES);
		}
		if (i < 0) {
			return i;
		}
		if (c->slots[i].len <= skip) {
			return -EIO;
		}
		n = MIN(len, c->slots[i].len - skip);
		c->slots[i].used = true;
		memcpy(to, c->mem + (size_t)i * BLOCK_BYTES + skip, n);
		to += n;
		offset += n;
		len -= n;
	}
	return 0;
}
