/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine's memory as an ELF core.
 *
 * The file is not trusted: counts and sizes are bounded, segments are sorted here, a note that does
 * not fit is passed over.
 */
#include "core.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block_cache.h"
#include "cleanup.h"
#include "le.h"

#define NOTES_MAX_BYTES (4 * 1024 * 1024)
#define VMCOREINFO_MAX_BYTES 65536

/* QEMU's note for one CPU (target/i386/arch_dump.c): a version, a size, 18 registers, 10 segments
 * of 24 bytes, CR0 to CR4, and since version 1's later form the kernel's GS base. */
#define QEMU_REGISTERS_AT 8
#define QEMU_RIP_AT (QEMU_REGISTERS_AT + 16 * 8)
#define QEMU_SEGMENTS_AT (QEMU_RIP_AT + 16)
#define QEMU_SEGMENT_BYTES 24
#define QEMU_SEGMENT_BASE_AT 16
#define QEMU_CR_AT (QEMU_SEGMENTS_AT + 10 * QEMU_SEGMENT_BYTES)
#define QEMU_KERNEL_GS_AT (QEMU_CR_AT + 5 * 8)
enum {
	QEMU_CS,
	QEMU_DS,
	QEMU_ES,
	QEMU_FS,
	QEMU_GS,
	QEMU_SS,
	QEMU_LDT,
	QEMU_TR,
	QEMU_GDT,
	QEMU_IDT
};

struct segment {
	uint64_t physical, len, offset;
};

struct core {
	int fd;
	bool live;
	struct block_cache *cache;
	struct segment *segments;
	size_t n_segments;
	struct segment notes; /* where they are in the file */
	struct cpu_state *cpus;
	size_t n_cpus;
	char *vmcoreinfo;
	size_t vmcoreinfo_len;
};

static int compare_segments(const void *a, const void *b)
{
	const struct segment *first = a, *second = b;

	return first->physical < second->physical ? -1 : first->physical > second->physical;
}

static void take_cpu(struct core *c, const uint8_t *p, size_t len)
{
	struct cpu_state *cpu;
	const uint8_t *segments = p + QEMU_SEGMENTS_AT;

	if (len < QEMU_KERNEL_GS_AT || c->n_cpus == CORE_CPUS_MAX) {
		return;
	}
	cpu = &c->cpus[c->n_cpus++];
	*cpu = (struct cpu_state){ 0 };
	for (int i = 0; i < _CPU_REGISTER_MAX; i++) {
		cpu->general[i] = le_u64(p + QEMU_REGISTERS_AT + 8 * i);
	}
	cpu->rip = le_u64(p + QEMU_RIP_AT);
	cpu->rflags = le_u64(p + QEMU_RIP_AT + 8);
	cpu->cs = (uint16_t)le_u64(segments + QEMU_CS * QEMU_SEGMENT_BYTES);
	cpu->gs_base = le_u64(segments + QEMU_GS * QEMU_SEGMENT_BYTES + QEMU_SEGMENT_BASE_AT);
	cpu->idt_base = le_u64(segments + QEMU_IDT * QEMU_SEGMENT_BYTES + QEMU_SEGMENT_BASE_AT);
	cpu->cr0 = le_u64(p + QEMU_CR_AT);
	cpu->cr3 = le_u64(p + QEMU_CR_AT + 3 * 8);
	cpu->cr4 = le_u64(p + QEMU_CR_AT + 4 * 8);
	if (len >= QEMU_KERNEL_GS_AT + 8) {
		cpu->kernel_gs_base = le_u64(p + QEMU_KERNEL_GS_AT);
	}
}

static void take_notes(struct core *c, const uint8_t *p, size_t len)
{
	while (len >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr head;
		size_t name_len, text_len;

		memcpy(&head, p, sizeof(head));
		p += sizeof(head);
		len -= sizeof(head);
		name_len = ((size_t)head.n_namesz + 3) & ~(size_t)3;
		text_len = ((size_t)head.n_descsz + 3) & ~(size_t)3;
		if (name_len > len || text_len > len - name_len) {
			return;
		}
		if (head.n_namesz == 5 && memcmp(p, "QEMU", 5) == 0) {
			take_cpu(c, p + name_len, head.n_descsz);
		} else if (head.n_namesz == 11 && memcmp(p, "VMCOREINFO", 11) == 0 &&
			   head.n_descsz > 0 && head.n_descsz <= VMCOREINFO_MAX_BYTES) {
			free(c->vmcoreinfo);
			c->vmcoreinfo = malloc(head.n_descsz);
			c->vmcoreinfo_len = c->vmcoreinfo ? head.n_descsz : 0;
			if (c->vmcoreinfo) {
				memcpy(c->vmcoreinfo, p + name_len, head.n_descsz);
			}
		}
		p += name_len + text_len;
		len -= name_len + text_len;
	}
}

int core_refresh(struct core *c)
{
	_cleanup_free_ uint8_t *notes = NULL;
	int r;

	block_cache_drop(c->cache);
	c->n_cpus = 0;
	if (c->notes.len == 0) {
		return 0;
	}
	notes = malloc(c->notes.len);
	if (!notes) {
		return -ENOMEM;
	}
	r = block_cache_read(c->cache, c->notes.offset, notes, c->notes.len);
	if (r == 0) {
		take_notes(c, notes, c->notes.len);
	}
	return r;
}

static int read_segments(struct core *c, const Elf64_Ehdr *head, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		Elf64_Phdr p;
		int r = block_cache_read(c->cache, head->e_phoff + i * sizeof(p), &p, sizeof(p));

		if (r < 0) {
			return r;
		}
		if (p.p_type == PT_NOTE && c->notes.len == 0) {
			c->notes.offset = p.p_offset;
			c->notes.len = MIN(p.p_filesz, (uint64_t)NOTES_MAX_BYTES);
		} else if (p.p_type == PT_LOAD && p.p_filesz > 0 &&
			   p.p_paddr <= UINT64_MAX - p.p_filesz &&
			   p.p_offset <= INT64_MAX - p.p_filesz) {
			c->segments[c->n_segments++] =
				(struct segment){ p.p_paddr, p.p_filesz, p.p_offset };
		}
	}
	qsort(c->segments, c->n_segments, sizeof(*c->segments), compare_segments);
	return 0;
}

static int read_head(struct core *c)
{
	Elf64_Ehdr head;
	uint64_t n;
	int r = block_cache_read(c->cache, 0, &head, sizeof(head));

	if (r < 0) {
		return r;
	}
	if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64 ||
	    head.e_ident[EI_DATA] != ELFDATA2LSB || head.e_type != ET_CORE ||
	    head.e_machine != EM_X86_64 || head.e_phentsize != sizeof(Elf64_Phdr)) {
		return -ENOEXEC;
	}
	n = head.e_phnum;
	if (n == PN_XNUM) {
		Elf64_Shdr section;

		r = block_cache_read(c->cache, head.e_shoff, &section, sizeof(section));
		if (r < 0) {
			return r;
		}
		n = section.sh_info;
	}
	if (n == 0 || n > CORE_SEGMENTS_MAX) {
		return -ENOEXEC;
	}
	c->segments = calloc(n, sizeof(*c->segments));
	c->cpus = calloc(CORE_CPUS_MAX, sizeof(*c->cpus));
	if (!c->segments || !c->cpus) {
		return -ENOMEM;
	}
	r = read_segments(c, &head, n);
	if (r < 0) {
		return r;
	}
	return c->n_segments ? core_refresh(c) : -ENOEXEC;
}

int core_open(const char *path, struct core **ret, struct fault *ret_fault)
{
	struct core *c = calloc(1, sizeof(*c));
	struct stat st;
	bool live;
	int r;

	if (!c) {
		fault_set(ret_fault, FAULT_INTERNAL, "no memory");
		return -ENOMEM;
	}
	c->fd = open(path, O_RDONLY | O_CLOEXEC);
	r = c->fd < 0 || fstat(c->fd, &st) < 0 ? -errno : 0;
	c->live = r == 0 && S_ISBLK(st.st_mode);
	if (c->live && fcntl(c->fd, F_SETFL, O_DIRECT) < 0) {
		r = -errno;
	}
	if (r == 0) {
		r = block_cache_new(c->fd, &c->cache);
	}
	if (r == 0) {
		r = read_head(c);
	}
	if (r == 0) {
		*ret = c;
		return 0;
	}
	live = c->live;
	core_free(c);
	if (live && r == -EIO) {
		fault_set(
			ret_fault, FAULT_VM_NOT_RUNNING,
			"the target's memory cannot be read: it is off, or has another amount now");
		fault_hint(ret_fault,
			   "`target memory status` shows it; `target memory detach`, then "
			   "`attach`, gets it anew.");
	} else if (r == -ENOENT) {
		fault_set(ret_fault, FAULT_NOT_FOUND, "there is no %.160s", path);
	} else if (r == -ENOEXEC) {
		fault_set(ret_fault, FAULT_NOT_SUPPORTED,
			  "%.160s is no ELF core of a 64-bit PC's memory", path);
	} else {
		fault_set(ret_fault, FAULT_INTERNAL, "%.160s cannot be read: %s", path,
			  strerror(-r));
	}
	return r;
}

struct core *core_free(struct core *c)
{
	if (c) {
		block_cache_free(c->cache);
		close_fd(c->fd);
		free(c->segments);
		free(c->cpus);
		free(c->vmcoreinfo);
		free(c);
	}
	return NULL;
}

size_t core_cpus(const struct core *c)
{
	return c->n_cpus;
}

const struct cpu_state *core_cpu(const struct core *c, size_t i)
{
	return &c->cpus[i];
}

const char *core_vmcoreinfo(const struct core *c, size_t *ret_len)
{
	*ret_len = c->vmcoreinfo_len;
	return c->vmcoreinfo;
}

bool core_is_live(const struct core *c)
{
	return c->live;
}

uint64_t core_memory_bytes(const struct core *c)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < c->n_segments; i++) {
		sum += c->segments[i].len;
	}
	return sum;
}

uint64_t core_reads(const struct core *c)
{
	return block_cache_reads(c->cache);
}

/* The last segment that begins at or below the address. */
static const struct segment *segment_of(const struct core *c, uint64_t physical)
{
	size_t low = 0, high = c->n_segments;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (c->segments[middle].physical <= physical) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low ? &c->segments[low - 1] : NULL;
}

int core_read(struct core *c, uint64_t physical, void *p, size_t len)
{
	uint8_t *to = p;

	while (len > 0) {
		const struct segment *s = segment_of(c, physical);
		uint64_t skip = s ? physical - s->physical : 0;
		size_t n;
		int r;

		if (!s || skip >= s->len) {
			return -EFAULT;
		}
		n = (size_t)MIN((uint64_t)len, s->len - skip);
		r = block_cache_read(c->cache, s->offset + skip, to, n);
		if (r < 0) {
			return r;
		}
		to += n;
		physical += n;
		len -= n;
	}
	return 0;
}
