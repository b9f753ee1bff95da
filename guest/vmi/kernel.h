/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Linux kernel in a machine's memory: where it is, its symbols, its types, and reads of its
 * virtual memory.
 *
 * Nothing in that memory is trusted. What cannot be read or makes no sense is *marked*: the reader
 * goes on with a zero or ends its list, and whoever shows the answer says that it is partial
 * (kernel_marks).
 */
#pragma once

#include "btf.h"
#include "core.h"
#include "fault.h"
#include "kallsyms.h"
#include "paging.h"
#include "vmcoreinfo.h"

#define KERNEL_CPUS_MAX 8192
#define KERNEL_MODULE_TYPES_MAX 256

struct kernel;

/* `path`: of an ELF core. On failure fills the fault. 0 or -errno. */
int kernel_open(const char *path, struct kernel **ret, struct fault *ret_fault) _must_check_;
struct kernel *kernel_free(struct kernel *k);
/* The machine has gone on: forgets what was read, but for symbols and types. -ESTALE: another kernel
 * runs now (it was reset): open it anew. */
int kernel_refresh(struct kernel *k) _must_check_;

struct core *kernel_core(struct kernel *k);
const struct vmcoreinfo *kernel_vmcoreinfo(const struct kernel *k);
struct paging *kernel_paging(struct kernel *k);
/* "6.1.0-18-cloud-amd64" */
const char *kernel_release(const struct kernel *k);

/* Memory by kernel address. -EFAULT, -EIO; nothing is marked. -ETIME (marked) when one answer took
 * more reads than any can need: whatever is walked then ends. */
int kernel_read(struct kernel *k, uint64_t address, void *p, size_t len) _must_check_;
/* The same; what cannot be read is zero, and marked. */
uint64_t kernel_u64(struct kernel *k, uint64_t address);
uint32_t kernel_u32(struct kernel *k, uint64_t address);
/* A NUL-terminated text, cut to the size; control characters become '?'. "" (marked) if it cannot
 * be read. */
void kernel_text(struct kernel *k, uint64_t address, char *out, size_t size);

/* Symbols of the kernel itself. NULL if its table was not found. */
struct kallsyms *kernel_kallsyms(struct kernel *k);
bool kernel_symbol(struct kernel *k, const char *name, uint64_t *ret_address);
/* The address or 0. */
uint64_t kernel_symbol_or_zero(struct kernel *k, const char *name);

/* The kernel's types; NULL if it has none (kernel_need_types says so to the user). */
const struct btf *kernel_btf(struct kernel *k);
int kernel_need_types(struct kernel *k, struct fault *ret_fault) _must_check_;
/* A type by name, in the kernel's BTF, else in that of its modules. Returns the BTF to use with the
 * id; NULL: none. */
const struct btf *kernel_type(struct kernel *k, const char *name, uint32_t *ret_id);

/* CPUs by the kernel's numbering. */
unsigned kernel_cpu_count(struct kernel *k);
bool kernel_cpu_online(struct kernel *k, unsigned cpu);
/* Where CPU `cpu` has the per-CPU thing at `address` (a symbol's or a pointer's). 0 if there is no
 * such CPU. */
uint64_t kernel_per_cpu(struct kernel *k, uint64_t address, unsigned cpu);
/* The registers of that CPU; NULL if the core has none. */
const struct cpu_state *kernel_cpu_state(struct kernel *k, unsigned cpu);

/* Notes that the answer is not whole. The first one's text is kept. */
void kernel_mark(struct kernel *k, const char *format, ...) _printf_(2, 3);
unsigned kernel_marks(const struct kernel *k);
const char *kernel_first_mark(const struct kernel *k);
/* Takes back the marks that came after there were `marks`: of a guess that may well be wrong. */
void kernel_unmark(struct kernel *k, unsigned marks);
