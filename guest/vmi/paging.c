/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual to physical addresses. */
#include "paging.h"

#include <errno.h>
#include <string.h>

#include "le.h"

#define ENTRY_PRESENT ((uint64_t)1)
#define ENTRY_WRITABLE ((uint64_t)1 << 1)
#define ENTRY_LARGE ((uint64_t)1 << 7)
#define ENTRY_NO_EXECUTE ((uint64_t)1 << 63)
#define ENTRY_ADDRESS ((uint64_t)0x000ffffffffff000)

static const unsigned shifts[3] = { 12, 21, 30 };

void paging_init(struct paging *p, struct core *core, uint64_t root, bool five_levels)
{
	p->core = core;
	p->root = root & ENTRY_ADDRESS;
	p->five_levels = five_levels;
	paging_forget(p);
}

void paging_forget(struct paging *p)
{
	memset(p->known, 0, sizeof(p->known));
}

/* Walks down to the page; *ret_size: 0 (4 KiB) to 2 (1 GiB), or, on -EFAULT, how much is not mapped
 * as a shift. */
static int walk(struct paging *p, uint64_t address, uint64_t *ret_entry, unsigned *ret_shift)
{
	unsigned shift = p->five_levels ? 48 : 39;
	uint64_t table = p->root, rights = ENTRY_WRITABLE, forbidden = 0;

	for (;;) {
		uint8_t bytes[8];
		uint64_t entry;
		int r = core_read(p->core, table + ((address >> shift) & 511) * 8, bytes, 8);

		*ret_shift = shift;
		if (r < 0) {
			return r;
		}
		entry = le_u64(bytes);
		if (!(entry & ENTRY_PRESENT)) {
			return -EFAULT;
		}
		rights &= entry;
		forbidden |= entry & ENTRY_NO_EXECUTE;
		if (shift == 12 || (shift <= 30 && (entry & ENTRY_LARGE))) {
			*ret_entry = (entry & ENTRY_ADDRESS & ~(((uint64_t)1 << shift) - 1)) |
				     rights | forbidden;
			return 0;
		}
		table = entry & ENTRY_ADDRESS;
		shift -= 9;
	}
}

static bool canonical(const struct paging *p, uint64_t address)
{
	int64_t top = (int64_t)address >> (p->five_levels ? 56 : 47);

	return top == 0 || top == -1;
}

int paging_translate(struct paging *p, uint64_t address, uint64_t *ret_physical, uint64_t *ret_left)
{
	uint64_t entry, offset;
	unsigned shift;
	int r;

	for (int size = 0; size < 3; size++) {
		uint64_t number = address >> shifts[size];
		const struct paging_known *k = &p->known[size][number % PAGING_KNOWN];

		if (k->tag == number + 1) {
			offset = address & (((uint64_t)1 << shifts[size]) - 1);
			*ret_physical = k->physical + offset;
			*ret_left = ((uint64_t)1 << shifts[size]) - offset;
			return 0;
		}
	}
	if (!canonical(p, address)) {
		return -EFAULT;
	}
	r = walk(p, address, &entry, &shift);
	if (r < 0) {
		return r;
	}
	offset = address & (((uint64_t)1 << shift) - 1);
	p->known[(shift - 12) / 9][(address >> shift) % PAGING_KNOWN] =
		(struct paging_known){ (address >> shift) + 1, entry & ENTRY_ADDRESS };
	*ret_physical = (entry & ENTRY_ADDRESS) + offset;
	*ret_left = ((uint64_t)1 << shift) - offset;
	return 0;
}

int paging_read(struct paging *p, uint64_t address, void *to, size_t len)
{
	uint8_t *at = to;

	while (len > 0) {
		uint64_t physical, left, next;
		size_t n;
		int r = paging_translate(p, address, &physical, &left);

		if (r < 0) {
			return r;
		}
		/* what goes on in physical memory is read in one piece: the kernel's image is */
		while (left < len) {
			uint64_t more;

			if (paging_translate(p, address + left, &next, &more) < 0 ||
			    next != physical + left) {
				break;
			}
			left += more;
		}
		n = (size_t)MIN((uint64_t)len, left);
		r = core_read(p->core, physical, at, n);
		if (r < 0) {
			return r;
		}
		at += n;
		address += n;
		len -= n;
	}
	return 0;
}

size_t paging_ranges(struct paging *p, uint64_t from, uint64_t to, struct paging_range *ranges,
		     size_t max)
{
	uint64_t address = from;
	size_t n = 0;

	while (address < to) {
		uint64_t entry, end;
		unsigned shift;
		int r = walk(p, address, &entry, &shift);

		end = (address | (((uint64_t)1 << shift) - 1)) + 1;
		if (r == 0) {
			bool writable = entry & ENTRY_WRITABLE;
			bool executable = !(entry & ENTRY_NO_EXECUTE);

			if (n > 0 && ranges[n - 1].end == address &&
			    ranges[n - 1].writable == writable &&
			    ranges[n - 1].executable == executable) {
				ranges[n - 1].end = end;
			} else if (n == max) {
				break;
			} else {
				ranges[n++] =
					(struct paging_range){ address, end, writable, executable };
			}
		}
		if (end <= address) {
			break; /* the last page there is */
		}
		address = end;
	}
	return n;
}
