/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds a kernel's tables in its own image.
 *
 * Theory of operation: the token table of kallsyms holds, for each letter that symbols use, a token
 * that is that letter, at its own number. All digits are used, so "0" NUL "1" NUL … "9" NUL is in
 * it. The token index behind it says where the table begins. The names are before it, behind their
 * number, and before the markers, which must say where name 256 is: that no chance meets. The
 * addresses stand before the number (up to 6.4) or behind the token index.
 */
#include "image_scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "btf.h"
#include "cleanup.h"
#include "le.h"

#define CHUNK_BYTES ((size_t)1024 * 1024)
#define OVERLAP_BYTES ((size_t)4096)
#define IMAGE_LEAST_BYTES ((uint64_t)4 * 1024 * 1024)
#define BEFORE_MAX ((size_t)16 * 1024 * 1024)
#define SYMBOLS_LEAST 5000

static const char digits[20] = "0\0001\0002\0003\0004\0005\0006\0007\0008\0009";
static const uint8_t btf_head[8] = { 0x9f, 0xeb, 1, 0, BTF_HEADER_BYTES, 0, 0, 0 };

bool image_init(struct image *i, struct paging *paging)
{
	uint64_t sum = 0;

	i->paging = paging;
	i->n = paging_ranges(paging, IMAGE_START, IMAGE_END, i->ranges, IMAGE_RANGES_MAX);
	for (size_t k = 0; k < i->n; k++) {
		sum += i->ranges[k].end - i->ranges[k].start;
	}
	return sum >= IMAGE_LEAST_BYTES;
}

/* Calls `found` at each place where `pattern` stands, until it returns 0 or an error; -ENOENT when
 * none did. Read-only data first: there the tables are. */
static int image_search(const struct image *i, const void *pattern, size_t len,
			int (*found)(const struct image *i, uint64_t address, void *user),
			void *user)
{
	_cleanup_free_ uint8_t *chunk = malloc(CHUNK_BYTES + OVERLAP_BYTES);

	if (!chunk) {
		return -ENOMEM;
	}
	for (int pass = 0; pass < 2; pass++) {
		for (size_t k = 0; k < i->n; k++) {
			const struct paging_range *range = &i->ranges[k];
			bool likely = !range->writable && !range->executable;

			if (likely != (pass == 0)) {
				continue;
			}
			for (uint64_t at = range->start; at < range->end; at += CHUNK_BYTES) {
				size_t n = (size_t)MIN(range->end - at,
						       (uint64_t)(CHUNK_BYTES + OVERLAP_BYTES));
				const uint8_t *p = chunk, *hit;

				if (paging_read(i->paging, at, chunk, n) < 0) {
					continue;
				}
				while ((hit = memmem(p, n - (size_t)(p - chunk), pattern, len))) {
					int r = found(i, at + (uint64_t)(hit - chunk), user);

					if (r != -ENOENT) {
						return r;
					}
					p = hit + 1;
				}
			}
		}
	}
	return -ENOENT;
}

static size_t align(size_t n, size_t to)
{
	return (n + to - 1) & ~(to - 1);
}

/* The tokens from "0" on, to the end of the table, then the index; `skew`: how far `p` is from a
 * multiple of eight; *ret_back: how far the table begins before. */
static bool find_token_index(const uint8_t *p, size_t len, size_t skew, size_t *ret_index,
			     size_t *ret_back)
{
	size_t at = 0;

	for (int token = '0'; token < 256; token++) {
		size_t n = strnlen((const char *)p + at, len - at);

		at += n + 1;
		if (at >= len) {
			return false;
		}
	}
	for (size_t to = 4; to <= 8; to += 4) {
		size_t index = align(at + skew, to) - skew;
		bool rising = index + 512 <= len && le_u16(p + index) == 0;

		for (int k = 1; rising && k < 256; k++) {
			rising = le_u16(p + index + 2 * k) > le_u16(p + index + 2 * (k - 1));
		}
		if (rising) {
			*ret_index = index;
			*ret_back = le_u16(p + index + 2 * '0');
			return true;
		}
	}
	return false;
}

/* Whether `n` names begin at p + at: then where they end. The markers decide. */
static bool names_here(const uint8_t *p, size_t len, size_t at, size_t n, size_t *ret_end)
{
	size_t start = at, of_256 = 0;

	for (size_t i = 0; i < n; i++) {
		size_t name;

		if (i == 256) {
			of_256 = at - start;
		}
		if (at + 2 > len) {
			return false;
		}
		name = p[at++];
		if (name & 0x80) {
			name = (name & 0x7f) | (size_t)p[at++] << 7;
		}
		if (name == 0 || name > len - at) {
			return false;
		}
		at += name;
	}
	*ret_end = at;
	for (size_t to = 4; to <= 8; to += 4) {
		size_t markers = align(at, to);

		if (markers + 16 <= len && le_u32(p + markers) == 0 &&
		    (le_u32(p + markers + 4) == of_256 || le_u64(p + markers + 8) == of_256)) {
			return true;
		}
	}
	return false;
}

static bool in_image(const struct image *i, uint64_t address)
{
	/* _text may be rounded down below the first page that is still mapped */
	return i->n > 0 && address >= IMAGE_START && address < i->ranges[i->n - 1].end;
}

static int read_offsets(const struct image *i, struct kallsyms_tables *t, uint64_t number_at,
			uint64_t index_at, uint8_t **ret)
{
	const uint64_t offsets_at[2] = {
		(number_at & ~(uint64_t)7) - 8 - align(4 * t->n, 8), /* up to 6.4 */
		align(index_at + 512, 8),			     /* since */
	};
	_cleanup_free_ uint8_t *offsets = malloc(4 * t->n);

	if (!offsets) {
		return -ENOMEM;
	}
	for (int k = 0; k < 2; k++) {
		uint8_t base[8];

		if (paging_read(i->paging, offsets_at[k] + align(4 * t->n, 8), base, 8) == 0 &&
		    in_image(i, le_u64(base)) &&
		    paging_read(i->paging, offsets_at[k], offsets, 4 * t->n) == 0) {
			t->relative_base = le_u64(base);
			*ret = TAKE_PTR(offsets);
			return 0;
		}
	}
	return -ENOENT;
}

/* `hit`: where the token "0" stands. */
static int take_kallsyms(const struct image *i, uint64_t hit, void *user)
{
	_cleanup_free_ uint8_t *tokens = malloc(8192), *before = NULL, *offsets = NULL;
	struct kallsyms_tables t = { 0 };
	uint64_t table_at, from;
	size_t index, back, len;

	if (!tokens) {
		return -ENOMEM;
	}
	if (paging_read(i->paging, hit, tokens, 8192) < 0 ||
	    !find_token_index(tokens, 8192, hit % 8, &index, &back)) {
		return -ENOENT;
	}
	table_at = hit - back;
	from = table_at;
	for (size_t k = 0; k < i->n; k++) {
		if (table_at >= i->ranges[k].start && table_at < i->ranges[k].end) {
			from = MAX(i->ranges[k].start, table_at - BEFORE_MAX) & ~(uint64_t)7;
		}
	}
	len = (size_t)(table_at - from);
	before = malloc(len + back + index + 512);
	if (!before) {
		return -ENOMEM;
	}
	if (paging_read(i->paging, from, before, len + back + index + 512) < 0) {
		return -ENOENT;
	}
	t.token_table = before + len;
	t.token_table_len = back + index;
	t.token_index = before + len + back + index;
	for (size_t at = len & ~(size_t)3; at >= 4; at -= 4) {
		size_t number_at = at - 4, end;

		t.n = le_u32(before + number_at);
		if (t.n < SYMBOLS_LEAST || t.n > KALLSYMS_MAX) {
			continue;
		}
		for (size_t names = number_at + 4; names <= number_at + 8; names += 4) {
			int r;

			if (!names_here(before, len, names, t.n, &end)) {
				continue;
			}
			t.names = before + names;
			t.names_len = end - names;
			r = read_offsets(i, &t, from + number_at, hit + index, &offsets);
			if (r == 0) {
				t.offsets = offsets;
				r = kallsyms_new(&t, user);
			}
			return r == -EINVAL ? -ENOENT : r;
		}
	}
	return -ENOENT;
}

int image_find_kallsyms(const struct image *i, struct kallsyms **ret)
{
	return image_search(i, digits, sizeof(digits), take_kallsyms, ret);
}

struct btf_place {
	uint64_t address;
	size_t len;
};

static int take_btf(const struct image *i, uint64_t hit, void *user)
{
	struct btf_place *place = user;
	uint8_t head[BTF_HEADER_BYTES];

	if (paging_read(i->paging, hit, head, sizeof(head)) < 0) {
		return -ENOENT;
	}
	place->address = hit;
	place->len = btf_extent(head);
	/* a kernel's is megabytes; the pattern alone also stands in code that looks for it */
	return place->len >= 65536 && le_u32(head + 8) == 0 ? 0 : -ENOENT;
}

int image_find_btf(const struct image *i, uint64_t *ret_address, size_t *ret_len)
{
	struct btf_place place;
	int r = image_search(i, btf_head, sizeof(btf_head), take_btf, &place);

	if (r == 0) {
		*ret_address = place.address;
		*ret_len = place.len;
	}
	return r;
}
