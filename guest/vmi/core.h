/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine's memory as an ELF core: a file, or the block device of a running target's memory.
 *
 * PT_LOAD segments by physical address; PT_NOTE with the registers of each virtual CPU (QEMU's own
 * notes) and, maybe, the kernel's VMCOREINFO.
 */
#pragma once

#include <stdbool.h>

#include "fault.h"
#include "macro.h"

#define CORE_CPUS_MAX 1024
#define CORE_SEGMENTS_MAX 65536

/* Which of a CPU's general registers is where in `cpu_state.general`. */
enum cpu_register {
	CPU_RAX,
	CPU_RBX,
	CPU_RCX,
	CPU_RDX,
	CPU_RSI,
	CPU_RDI,
	CPU_RSP,
	CPU_RBP,
	CPU_R8,
	CPU_R9,
	CPU_R10,
	CPU_R11,
	CPU_R12,
	CPU_R13,
	CPU_R14,
	CPU_R15,
	_CPU_REGISTER_MAX,
};

struct cpu_state {
	uint64_t general[_CPU_REGISTER_MAX];
	uint64_t rip, rflags;
	uint16_t cs;
	uint64_t gs_base, kernel_gs_base, idt_base;
	uint64_t cr0, cr3, cr4;
};

struct core;

/* On failure fills the fault. 0 or -errno. */
int core_open(const char *path, struct core **ret, struct fault *ret_fault) _must_check_;
struct core *core_free(struct core *c);
/* Forgets what was read of memory and reads the registers again: a live device has gone on. */
int core_refresh(struct core *c) _must_check_;
/* How many CPUs have a note that could be read; `i` below that. */
size_t core_cpus(const struct core *c);
const struct cpu_state *core_cpu(const struct core *c, size_t i);
/* The text of the VMCOREINFO note, not terminated; NULL if there is none. */
const char *core_vmcoreinfo(const struct core *c, size_t *ret_len);
/* All `len` bytes at a physical address; -EFAULT where there is no memory, -EIO. */
int core_read(struct core *c, uint64_t physical, void *p, size_t len) _must_check_;
/* A device: what is behind it goes on while it is read. */
bool core_is_live(const struct core *c);
/* Of all segments together. */
uint64_t core_memory_bytes(const struct core *c);
uint64_t core_reads(const struct core *c);
