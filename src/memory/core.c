/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ELF core that a target's memory is shown as.
 *
 * Notes are laid out as QEMU writes them in its own dumps (target/i386/arch_dump.c, version 1 of
 * the note "QEMU"), so that crash, drgn, makedumpfile and gdb take it for one. Their place has one
 * size for as long as the device is there; VMCOREINFO comes and goes with the guest's kernel, so
 * what it leaves is filled by a note that nobody reads.
 */
#include "core.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define VMCOREINFO_ROOM 8192
#define NOTE_VERSION 1
/* Physical addresses have at most 52 bits. */
#define ADDRESS_END (1ull << 52)

struct prstatus {
	uint8_t before[32];
	uint32_t pid;
	uint8_t between[76];
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax,
		rip, cs, rflags, rsp, ss, fs_base, gs_base, ds, es, fs, gs;
	uint8_t after[8];
} __attribute__((packed));
static_assert(sizeof(struct prstatus) == 336, "as the kernel's struct elf_prstatus");

struct qemu_segment {
	uint32_t selector, limit, flags, pad;
	uint64_t base;
} __attribute__((packed));

struct qemu_state {
	uint32_t version, size;
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp;
	uint64_t r[8];
	uint64_t rip, rflags;
	struct qemu_segment segments[CPU_SEGMENTS]; /* in the order of enum cpu_segment_name */
	uint64_t cr[5];
	uint64_t kernel_gs_base; /* the emulator does not tell: 0 */
} __attribute__((packed));
static_assert(sizeof(struct qemu_state) == 440, "as QEMU's QEMUCPUState");

static size_t note_bytes(size_t name_len, size_t desc_bytes)
{
	return sizeof(Elf64_Nhdr) + ((name_len + 1 + 3) & ~(size_t)3) +
	       ((desc_bytes + 3) & ~(size_t)3);
}

static uint64_t phdrs_end(const struct core *core)
{
	return sizeof(Elf64_Ehdr) + (1 + core->n_ranges) * sizeof(Elf64_Phdr);
}

static uint64_t notes_bytes(unsigned vcpus)
{
	return vcpus * (note_bytes(4, sizeof(struct prstatus)) +
			note_bytes(4, sizeof(struct qemu_state))) +
	       VMCOREINFO_ROOM;
}

int core_init(struct core *core, const struct core_range *ranges, size_t n_ranges, unsigned vcpus)
{
	uint64_t end = 0;

	if (n_ranges == 0 || n_ranges > CORE_RANGES_MAX || vcpus == 0 || vcpus > CPUS_MAX) {
		return -EINVAL;
	}
	*core = (struct core){ .n_ranges = n_ranges, .vcpus = vcpus };
	for (size_t i = 0; i < n_ranges; i++) {
		const struct core_range *range = &ranges[i];

		if (range->address % CORE_PAGE != 0 || range->length % CORE_PAGE != 0 ||
		    range->length == 0 || range->address < end || range->address >= ADDRESS_END ||
		    range->length > ADDRESS_END - range->address) {
			return -EINVAL;
		}
		end = range->address + range->length;
		core->ranges[i] = *range;
		core->size_bytes += range->length;
	}
	core->head_bytes =
		(phdrs_end(core) + notes_bytes(vcpus) + CORE_PAGE - 1) / CORE_PAGE * CORE_PAGE;
	core->size_bytes += core->head_bytes;
	return 0;
}

bool core_equal(const struct core *a, const struct core *b)
{
	return a->n_ranges == b->n_ranges && a->vcpus == b->vcpus &&
	       memcmp(a->ranges, b->ranges, a->n_ranges * sizeof(a->ranges[0])) == 0;
}

static uint8_t *note_put(uint8_t *p, const char *name, unsigned type, const void *desc,
			 size_t desc_bytes)
{
	Elf64_Nhdr header = {
		.n_namesz = (Elf64_Word)strlen(name) + 1,
		.n_descsz = (Elf64_Word)desc_bytes,
		.n_type = type,
	};
	size_t name_room = (strlen(name) + 1 + 3) & ~(size_t)3;

	memcpy(p, &header, sizeof(header));
	memcpy(p + sizeof(header), name, strlen(name) + 1);
	if (desc) {
		memcpy(p + sizeof(header) + name_room, desc, desc_bytes);
	}
	return p + note_bytes(strlen(name), desc_bytes);
}

static uint8_t *prstatus_put(uint8_t *p, const struct cpu_state *c, unsigned index)
{
	struct prstatus s = {
		.pid = index + 1,
		.r15 = c->r[7],
		.r14 = c->r[6],
		.r13 = c->r[5],
		.r12 = c->r[4],
		.rbp = c->rbp,
		.rbx = c->rbx,
		.r11 = c->r[3],
		.r10 = c->r[2],
		.r9 = c->r[1],
		.r8 = c->r[0],
		.rax = c->rax,
		.rcx = c->rcx,
		.rdx = c->rdx,
		.rsi = c->rsi,
		.rdi = c->rdi,
		.rip = c->rip,
		.cs = c->segments[CPU_CS].selector,
		.rflags = c->rflags,
		.rsp = c->rsp,
		.ss = c->segments[CPU_SS].selector,
		.fs_base = c->segments[CPU_FS].base,
		.gs_base = c->segments[CPU_GS].base,
		.ds = c->segments[CPU_DS].selector,
		.es = c->segments[CPU_ES].selector,
		.fs = c->segments[CPU_FS].selector,
		.gs = c->segments[CPU_GS].selector,
	};

	return note_put(p, "CORE", NT_PRSTATUS, &s, sizeof(s));
}

static uint8_t *qemu_put(uint8_t *p, const struct cpu_state *c)
{
	struct qemu_state s = {
		.version = NOTE_VERSION,
		.size = sizeof(s),
		.rax = c->rax,
		.rbx = c->rbx,
		.rcx = c->rcx,
		.rdx = c->rdx,
		.rsi = c->rsi,
		.rdi = c->rdi,
		.rsp = c->rsp,
		.rbp = c->rbp,
		.rip = c->rip,
		.rflags = c->rflags,
	};

	memcpy(s.r, c->r, sizeof(s.r));
	memcpy(s.cr, c->cr, sizeof(s.cr));
	for (unsigned i = 0; i < CPU_SEGMENTS; i++) {
		s.segments[i] = (struct qemu_segment){
			.selector = (uint32_t)c->segments[i].selector,
			.limit = (uint32_t)c->segments[i].limit,
			.flags = (uint32_t)c->segments[i].flags,
			.base = c->segments[i].base,
		};
	}
	return note_put(p, "QEMU", 0, &s, sizeof(s));
}

static void headers_put(const struct core *core, uint8_t *ret)
{
	Elf64_Ehdr header = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			     EV_CURRENT },
		.e_type = ET_CORE,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(Elf64_Ehdr),
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = (Elf64_Half)(1 + core->n_ranges),
	};
	Elf64_Phdr notes = {
		.p_type = PT_NOTE,
		.p_offset = phdrs_end(core),
		.p_filesz = notes_bytes(core->vcpus),
		.p_memsz = notes_bytes(core->vcpus),
	};
	uint64_t offset = core->head_bytes;

	memcpy(ret, &header, sizeof(header));
	ret += sizeof(header);
	memcpy(ret, &notes, sizeof(notes));
	for (size_t i = 0; i < core->n_ranges; i++) {
		Elf64_Phdr load = {
			.p_type = PT_LOAD,
			.p_offset = offset,
			.p_paddr = core->ranges[i].address,
			.p_filesz = core->ranges[i].length,
			.p_memsz = core->ranges[i].length,
		};

		ret += sizeof(load);
		memcpy(ret, &load, sizeof(load));
		offset += core->ranges[i].length;
	}
}

void core_head(const struct core *core, const struct cpu_state *cpus, size_t n_cpus,
	       const char *vmcoreinfo, size_t vmcoreinfo_len, uint8_t *ret)
{
	static const struct cpu_state zeros;
	uint8_t *p = ret + phdrs_end(core), *end = p + notes_bytes(core->vcpus);

	memset(ret, 0, core->head_bytes);
	headers_put(core, ret);
	for (unsigned i = 0; i < core->vcpus; i++) {
		p = prstatus_put(p, i < n_cpus ? &cpus[i] : &zeros, i);
	}
	for (unsigned i = 0; i < core->vcpus; i++) {
		p = qemu_put(p, i < n_cpus ? &cpus[i] : &zeros);
	}
	static_assert(CORE_VMCOREINFO_MAX + 128 < VMCOREINFO_ROOM, "there is room for the filler");
	if (vmcoreinfo_len > 0 && vmcoreinfo_len <= CORE_VMCOREINFO_MAX) {
		p = note_put(p, "VMCOREINFO", 0, vmcoreinfo, vmcoreinfo_len);
	}
	note_put(p, "DVM", 0, NULL, (size_t)(end - p) - note_bytes(3, 0));
}

int core_find(const struct core *core, uint64_t offset, size_t *ret_range, uint64_t *ret_into,
	      uint64_t *ret_left)
{
	uint64_t at = core->head_bytes;

	if (offset < at) {
		return -EINVAL;
	}
	for (size_t i = 0; i < core->n_ranges; i++) {
		if (offset - at < core->ranges[i].length) {
			*ret_range = i;
			*ret_into = offset - at;
			*ret_left = core->ranges[i].length - *ret_into;
			return 0;
		}
		at += core->ranges[i].length;
	}
	return -EINVAL;
}

int core_find_address(const struct core *core, uint64_t address, size_t *ret_range,
		      uint64_t *ret_into, uint64_t *ret_left)
{
	for (size_t i = 0; i < core->n_ranges; i++) {
		const struct core_range *range = &core->ranges[i];

		if (address >= range->address && address - range->address < range->length) {
			*ret_range = i;
			*ret_into = address - range->address;
			*ret_left = range->length - *ret_into;
			return 0;
		}
	}
	return -EFAULT;
}
