/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the VMCOREINFO of a Linux guest in its memory. See search.h. */
#include "search.h"

#include <errno.h>
#include <string.h>

#define PAGE CORE_PAGE
#define WORDS (PAGE / sizeof(uint64_t))
#define PRESENT 1ull
#define LARGE (1ull << 7)
#define ADDRESS_MASK 0x000ffffffffff000ull
#define CR0_PG (1ull << 31)
#define CR4_PAE (1ull << 5)
#define CR4_LA57 (1ull << 12)
/* A kernel isolated from user space keeps two tables side by side; this bit is set in the user's.
 */
#define CR3_USER_BIT (1ull << 12)
/* The image of a kernel is mapped here (arch/x86/include/asm/page_64_types.h). */
#define IMAGE_FIRST 0xffffffff80000000ull
#define IMAGE_LAST 0xffffffffbfffffffull
#define IMAGE_BYTES_MAX (96ull << 20)
#define IMAGE_HOLE_MAX (8ull << 20)
/* What a pointer into the direct mapping may be: any of the kernel's half but the image's. */
#define POINTER_FIRST 0xff00000000000000ull
#define POINTER_LAST 0xffffffff7fffffffull
#define CANDIDATES_MAX 65536
#define SEEN 1024
#define GATES 32
#define CPUS_TRIED 4
#define GATE_BYTES 16

static const char magic[] = "OSRELEASE=";

struct walk {
	guest_read_fn *read;
	void *user;
	uint64_t root;
	bool five_levels;
	/* the table read last of each level */
	uint64_t cached[5];
	uint64_t tables[5][WORDS];
};

static void walk_begin(struct walk *w, uint64_t root, bool five_levels)
{
	w->root = root & ADDRESS_MASK;
	w->five_levels = five_levels;
	for (unsigned i = 0; i < 5; i++) {
		w->cached[i] = UINT64_MAX;
	}
}

/* The physical address, and how many bytes from there on are mapped by the same entry. On -EFAULT
 * that many are not mapped. */
static int translate(struct walk *w, uint64_t address, uint64_t *ret, uint64_t *ret_left)
{
	uint64_t table = w->root;

	for (unsigned level = w->five_levels ? 5 : 4; level-- > 0;) {
		unsigned shift = 12 + 9 * level;
		uint64_t entry, size = 1ull << shift;

		*ret_left = size - (address & (size - 1));
		if (w->cached[level] != table) {
			w->cached[level] = UINT64_MAX;
			if (w->read(w->user, table, w->tables[level], PAGE) < 0) {
				return -EFAULT;
			}
			w->cached[level] = table;
		}
		entry = w->tables[level][address >> shift & (WORDS - 1)];
		if (!(entry & PRESENT)) {
			return -EFAULT;
		}
		if (level == 0 || ((entry & LARGE) && level <= 2)) {
			*ret = (entry & ADDRESS_MASK & ~(size - 1)) | (address & (size - 1));
			return 0;
		}
		table = entry & ADDRESS_MASK;
	}
	return -EFAULT;
}

/* Text of lines, up to the first zero. */
static size_t text_length(const char *page)
{
	size_t len = strnlen(page, PAGE);

	if (len == PAGE || strncmp(page, magic, strlen(magic)) != 0) {
		return 0;
	}
	for (size_t i = 0; i < len; i++) {
		if (page[i] != '\n' && (page[i] < ' ' || page[i] > '~')) {
			return 0;
		}
	}
	return page[len - 1] == '\n' ? len : 0;
}

/* Whether a page that a pointer leads to is it. */
static bool page_take(struct walk *w, uint64_t pointer, struct vmcoreinfo *io)
{
	char begin[sizeof(magic) - 1], page[PAGE];
	uint64_t address, left;
	size_t len;

	if (translate(w, pointer, &address, &left) < 0 ||
	    w->read(w->user, address, begin, sizeof(begin)) < 0 ||
	    memcmp(begin, magic, sizeof(begin)) != 0 || w->read(w->user, address, page, PAGE) < 0) {
		return false;
	}
	len = text_length(page);
	if (len == 0) {
		return false;
	}
	memcpy(io->text, page, len);
	io->len = len;
	return true;
}

static bool is_pointer(uint64_t value)
{
	return value % PAGE == 0 && value >= POINTER_FIRST && value <= POINTER_LAST;
}

/* Looks where it was found last. */
static bool found_again(struct walk *w, struct vmcoreinfo *io)
{
	uint64_t address, left, pointer;

	return translate(w, io->variable, &address, &left) == 0 &&
	       w->read(w->user, address, &pointer, sizeof(pointer)) == 0 && is_pointer(pointer) &&
	       page_take(w, pointer, io);
}

struct search {
	struct walk *walk;
	size_t candidates;
	uint64_t seen[SEEN];
};

static bool words_search(struct search *s, const uint64_t *words, size_t n, uint64_t at,
			 struct vmcoreinfo *io)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t value = words[i], *seen = &s->seen[value / PAGE % SEEN];

		if (!is_pointer(value) || *seen == value) {
			continue;
		}
		*seen = value;
		if (s->candidates++ == CANDIDATES_MAX) {
			return false;
		}
		if (page_take(s->walk, value, io)) {
			io->variable = at + i * sizeof(uint64_t);
			return true;
		}
	}
	return false;
}

/* From an address in the kernel's text on, as far as the image is mapped. */
static bool image_search(struct walk *w, uint64_t handler, struct vmcoreinfo *io)
{
	struct search s = { .walk = w };
	uint64_t words[4 * WORDS];
	uint64_t at = handler / PAGE * PAGE, end = MIN(at + IMAGE_BYTES_MAX, IMAGE_LAST);
	uint64_t hole = 0;

	while (at < end && hole < IMAGE_HOLE_MAX) {
		uint64_t address, left;

		if (translate(w, at, &address, &left) < 0) {
			left = MIN(left, end - at);
			hole += left;
			at += left;
			continue;
		}
		hole = 0;
		left = MIN(left, sizeof(words));
		if (w->read(w->user, address, words, left) == 0 &&
		    words_search(&s, words, left / sizeof(uint64_t), at, io)) {
			return true;
		}
		if (s.candidates >= CANDIDATES_MAX) {
			return false;
		}
		at += left;
	}
	return false;
}

/* Where the kernel handles an exception: any of the table's first gates. */
static bool handler_find(struct walk *w, uint64_t table, uint64_t *ret)
{
	for (unsigned i = 0; i < GATES; i++) {
		uint64_t address, left, gate[2], handler;

		if (translate(w, table + i * GATE_BYTES, &address, &left) < 0 ||
		    w->read(w->user, address, gate, sizeof(gate)) < 0) {
			return false;
		}
		handler = (gate[0] & 0xffff) | (gate[0] >> 32 & 0xffff0000) | gate[1] << 32;
		if (handler >= IMAGE_FIRST && handler <= IMAGE_LAST) {
			*ret = handler;
			return true;
		}
	}
	return false;
}

static bool search(struct walk *w, const struct cpu_state *cpu, struct vmcoreinfo *io)
{
	uint64_t handler;

	return handler_find(w, cpu->segments[CPU_IDT].base, &handler) &&
	       image_search(w, handler, io);
}

/* By the tables of one CPU: again at the known place, or (`anew`) everywhere. */
static bool cpu_search(struct walk *w, const struct cpu_state *cpu, bool anew,
		       struct vmcoreinfo *io)
{
	const uint64_t roots[] = { cpu->cr[3] & ~CR3_USER_BIT, cpu->cr[3] };
	bool found = false;

	for (size_t i = cpu->cr[3] & CR3_USER_BIT ? 0 : 1; i < ARRAY_SIZE(roots) && !found; i++) {
		walk_begin(w, roots[i], cpu->cr[4] & CR4_LA57);
		found = anew ? search(w, cpu, io) : found_again(w, io);
	}
	return found;
}

bool vmcoreinfo_find(guest_read_fn *read, void *user, const struct cpu_state *cpus, size_t n_cpus,
		     struct vmcoreinfo *io)
{
	struct walk w = { .read = read, .user = user };
	bool found = false;

	for (unsigned anew = io->found ? 0 : 1; anew <= 1 && !found; anew++) {
		/* One CPU is as good as another, unless it has not come up. */
		for (size_t i = 0; i < n_cpus && i < CPUS_TRIED && !found; i++) {
			const struct cpu_state *cpu = &cpus[i];

			found = (cpu->cr[0] & CR0_PG) && (cpu->cr[4] & CR4_PAE) &&
				cpu_search(&w, cpu, anew, io);
		}
	}
	io->found = found;
	return found;
}
