/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks of a Linux kernel, by its ORC tables.
 *
 * Theory of operation: two tables of one length, one with addresses in rising order (each relative
 * to its own place), one with what holds from there on: on which register the caller's stack is
 * based and how far from it, the same for the frame pointer, and what kind of frame it is. The
 * kernel's are read whole, at the first stack; a module's when an address in it is met.
 *
 * The kinds were renumbered in 6.4, which also split "no information" from "end of the stack".
 * Where the field that holds them stands, and how wide it is, the kernel's types say.
 */
#include "unwind.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "le.h"
#include "object.h"

#define TABLE_MAX 4000000
#define ORC_ENTRY_MAX 16
#define MODULE_TABLES_MAX 64

enum {
	REG_UNDEFINED,
	REG_PREV_SP,
	REG_DX,
	REG_DI,
	REG_BP,
	REG_SP,
	REG_R10,
	REG_R13,
	REG_BP_INDIRECT,
	REG_SP_INDIRECT,
};

enum kind { KIND_UNDEFINED, KIND_END, KIND_CALL, KIND_REGS, KIND_REGS_PARTIAL };

struct orc {
	int16_t sp_offset, bp_offset;
	unsigned sp_reg, bp_reg;
	enum kind kind;
};

struct orc_table {
	uint64_t ip_at; /* where the table of addresses is: they are relative to it */
	uint8_t *ips, *entries;
	size_t n;
	const struct module *module; /* NULL: the kernel's */
};

struct unwinder {
	struct kernel *k;
	struct symbols *symbols;
	struct orc_table table;
	struct orc_table modules[MODULE_TABLES_MAX];
	size_t n_modules;
	uint64_t entry_bytes, sp_offset_at, bp_offset_at;
	bool new_kinds;	   /* 6.4 and later */
	bool old_indirect; /* before 5.12: the offset counts before the pointer is followed */
	struct btf_path type, sp_reg, bp_reg, end;
	bool has_end;
	/* pt_regs */
	uint64_t regs_ip, regs_sp, regs_bp, regs_cs, regs_bytes;
	uint64_t regs_of[_CPU_REGISTER_MAX];
};

static int read_table(struct unwinder *u, struct orc_table *t, uint64_t ips, uint64_t entries,
		      uint64_t n)
{
	if (n == 0 || n > TABLE_MAX) {
		return -ENOENT;
	}
	t->ip_at = ips;
	t->n = n;
	t->ips = malloc(n * 4);
	t->entries = malloc(n * u->entry_bytes);
	if (!t->ips || !t->entries) {
		return -ENOMEM;
	}
	if (kernel_read(u->k, ips, t->ips, n * 4) < 0 ||
	    kernel_read(u->k, entries, t->entries, n * u->entry_bytes) < 0) {
		return -ENOENT;
	}
	return 0;
}

static bool field(struct unwinder *u, const char *name, struct btf_path *ret)
{
	uint32_t id;
	const struct btf *btf = kernel_type(u->k, "struct orc_entry", &id);

	return btf && btf_path_find(btf, id, name, ret) && ret->n == 1 && ret->bits > 0 &&
	       ret->bit_offset + ret->bits <= 8 && ret->offsets[0] < u->entry_bytes;
}

static int learn_layout(struct unwinder *u)
{
	static const char *const names[_CPU_REGISTER_MAX] = { "ax",  "bx",  "cx",  "dx",
							      "si",  "di",  "sp",  "bp",
							      "r8",  "r9",  "r10", "r11",
							      "r12", "r13", "r14", "r15" };
	unsigned major = 0, minor = 0;

	u->entry_bytes = object_size(u->k, "orc_entry", "");
	if (u->entry_bytes < 6 || u->entry_bytes > ORC_ENTRY_MAX || !field(u, "type", &u->type) ||
	    !field(u, "sp_reg", &u->sp_reg) || !field(u, "bp_reg", &u->bp_reg)) {
		return -ENOENT;
	}
	u->sp_offset_at = object_offset(u->k, "orc_entry", "sp_offset");
	u->bp_offset_at = object_offset(u->k, "orc_entry", "bp_offset");
	if (MAX(u->sp_offset_at, u->bp_offset_at) + 2 > u->entry_bytes) {
		return -ENOENT;
	}
	u->has_end = field(u, "end", &u->end);
	u->new_kinds = u->type.bits >= 3;
	if (sscanf(kernel_release(u->k), "%u.%u", &major, &minor) == 2) {
		u->old_indirect = major < 5 || (major == 5 && minor < 12);
	}
	u->regs_ip = object_offset(u->k, "pt_regs", "ip");
	u->regs_sp = object_offset(u->k, "pt_regs", "sp");
	u->regs_bp = object_offset(u->k, "pt_regs", "bp");
	u->regs_cs = object_offset(u->k, "pt_regs", "cs");
	u->regs_bytes = object_size(u->k, "pt_regs", "");
	for (int i = 0; i < _CPU_REGISTER_MAX; i++) {
		u->regs_of[i] = object_offset(u->k, "pt_regs", names[i]);
	}
	return u->regs_bytes >= 64 && u->regs_bytes <= 512 ? 0 : -ENOENT;
}

int unwinder_new(struct kernel *k, struct symbols *symbols, struct unwinder **ret)
{
	struct unwinder *u = calloc(1, sizeof(*u));
	uint64_t ips, ips_end, entries;
	int r;

	if (!u) {
		return -ENOMEM;
	}
	u->k = k;
	u->symbols = symbols;
	ips = kernel_symbol_or_zero(k, "__start_orc_unwind_ip");
	ips_end = kernel_symbol_or_zero(k, "__stop_orc_unwind_ip");
	entries = kernel_symbol_or_zero(k, "__start_orc_unwind");
	r = ips && entries && ips_end > ips ? learn_layout(u) : -ENOENT;
	if (r == 0) {
		r = read_table(u, &u->table, ips, entries, (ips_end - ips) / 4);
	}
	if (r < 0) {
		unwinder_free(u);
		return r;
	}
	*ret = u;
	return 0;
}

struct unwinder *unwinder_free(struct unwinder *u)
{
	if (u) {
		free(u->table.ips);
		free(u->table.entries);
		for (size_t i = 0; i < u->n_modules; i++) {
			free(u->modules[i].ips);
			free(u->modules[i].entries);
		}
		free(u);
	}
	return NULL;
}

static unsigned bits(const uint8_t *entry, const struct btf_path *f)
{
	return (unsigned)entry[f->offsets[0]] >> f->bit_offset & ((1u << f->bits) - 1);
}

static struct orc decode(const struct unwinder *u, const uint8_t *entry)
{
	struct orc o = {
		.sp_offset = (int16_t)le_u16(entry + u->sp_offset_at),
		.bp_offset = (int16_t)le_u16(entry + u->bp_offset_at),
		.sp_reg = bits(entry, &u->sp_reg),
		.bp_reg = bits(entry, &u->bp_reg),
	};
	unsigned type = bits(entry, &u->type);

	if (u->new_kinds) {
		o.kind = type <= KIND_REGS_PARTIAL ? (enum kind)type : KIND_UNDEFINED;
	} else {
		static const enum kind kinds[4] = { KIND_CALL, KIND_REGS, KIND_REGS_PARTIAL,
						    KIND_UNDEFINED };

		o.kind = kinds[type & 3];
		if (o.sp_reg == REG_UNDEFINED) {
			o.kind = u->has_end && bits(entry, &u->end) ? KIND_END : KIND_UNDEFINED;
		}
	}
	return o;
}

static bool look_up(const struct unwinder *u, const struct orc_table *t, uint64_t ip,
		    struct orc *ret)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		uint64_t at = t->ip_at + middle * 4 +
			      (uint64_t)(int64_t)(int32_t)le_u32(t->ips + middle * 4);

		if (at <= ip) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	if (low == 0) {
		return false;
	}
	*ret = decode(u, t->entries + (low - 1) * u->entry_bytes);
	return true;
}

static bool look_up_module(struct unwinder *u, uint64_t ip, struct orc *ret)
{
	const struct module *m = modules_at(symbols_modules(u->symbols), ip);
	struct orc_table *t;

	if (!m) {
		return false;
	}
	for (size_t i = 0; i < u->n_modules; i++) {
		if (u->modules[i].module == m) {
			return look_up(u, &u->modules[i], ip, ret);
		}
	}
	if (u->n_modules == MODULE_TABLES_MAX || !object_has(u->k, "module", "arch.num_orcs")) {
		return false;
	}
	t = &u->modules[u->n_modules++];
	t->module = m;
	if (read_table(u, t, object_u64(u->k, "module", m->address, "arch.orc_unwind_ip"),
		       object_u64(u->k, "module", m->address, "arch.orc_unwind"),
		       object_u64(u->k, "module", m->address, "arch.num_orcs")) < 0) {
		t->n = 0;
	}
	return look_up(u, t, ip, ret);
}

/* 0 is where a call through a NULL pointer went to: its caller's address is on the stack. */
static const struct orc null_call = { .sp_offset = 8, .sp_reg = REG_SP, .kind = KIND_CALL };
static const struct orc by_frame_pointer = { .sp_offset = 16,
					     .bp_offset = -16,
					     .sp_reg = REG_BP,
					     .bp_reg = REG_PREV_SP,
					     .kind = KIND_CALL };

struct state {
	uint64_t ip, sp, bp;
	bool exact;
	const uint64_t *general; /* at the start only */
	uint64_t regs;		 /* where a full pt_regs is, 0: none */
};

static bool other_register(const struct unwinder *u, const struct state *s, enum cpu_register which,
			   uint64_t *ret)
{
	uint8_t bytes[8];

	if (s->general) {
		*ret = s->general[which];
		return true;
	}
	if (!s->regs || kernel_read(u->k, s->regs + u->regs_of[which], bytes, 8) < 0) {
		return false;
	}
	*ret = le_u64(bytes);
	return true;
}

static bool deref(const struct unwinder *u, uint64_t at, uint64_t *ret)
{
	uint8_t bytes[8];

	if (at & 7 || kernel_read(u->k, at, bytes, 8) < 0) {
		return false;
	}
	*ret = le_u64(bytes);
	return true;
}

static bool caller_sp(const struct unwinder *u, const struct state *s, const struct orc *o,
		      uint64_t *ret)
{
	uint64_t base, offset = (uint64_t)(int64_t)o->sp_offset;

	switch (o->sp_reg) {
	case REG_SP:
		*ret = s->sp + offset;
		return true;
	case REG_BP:
		*ret = s->bp + offset;
		return true;
	case REG_SP_INDIRECT:
		if (u->old_indirect) {
			return deref(u, s->sp + offset, ret);
		}
		if (!deref(u, s->sp, &base)) {
			return false;
		}
		*ret = base + offset;
		return true;
	case REG_BP_INDIRECT:
		return deref(u, s->bp + offset, ret);
	case REG_R10:
		return other_register(u, s, CPU_R10, ret);
	case REG_R13:
		return other_register(u, s, CPU_R13, ret);
	case REG_DI:
		return other_register(u, s, CPU_RDI, ret);
	case REG_DX:
		return other_register(u, s, CPU_RDX, ret);
	default:
		return false;
	}
}

/* From one frame to the next; false: `end` says why there is none. */
static bool step(struct unwinder *u, struct state *s, bool *ret_guessed, enum unwind_end *end)
{
	/* a call may be the last thing in its function: the address before is surely in it */
	uint64_t sp, ip = s->exact ? s->ip : s->ip - 1, cs = 0;
	struct state next = { 0 };
	struct orc o;

	*ret_guessed = false;
	*end = UNWIND_LOST;
	if (s->ip == 0) {
		o = null_call;
	} else if (!(ip >= 0xffffffff80000000 && look_up(u, &u->table, ip, &o) &&
		     !modules_at(symbols_modules(u->symbols), ip)) &&
		   !look_up_module(u, ip, &o)) {
		o = by_frame_pointer; /* generated code */
		*ret_guessed = true;
	}
	if (o.kind == KIND_END) {
		*end = UNWIND_DONE;
		return false;
	}
	if (o.kind == KIND_UNDEFINED || !caller_sp(u, s, &o, &sp)) {
		return false;
	}
	next.bp = s->bp;
	if (o.kind == KIND_CALL) {
		if (!deref(u, sp - 8, &next.ip)) {
			return false;
		}
		next.sp = sp;
		next.regs = s->regs; /* a call changes none of those that tables ask for */
	} else {
		uint64_t regs = o.kind == KIND_REGS ? sp : sp - u->regs_ip;

		if (!deref(u, regs + u->regs_ip, &next.ip) ||
		    !deref(u, regs + u->regs_sp, &next.sp) || !deref(u, regs + u->regs_cs, &cs)) {
			return false;
		}
		next.exact = true;
		next.regs = o.kind == KIND_REGS ? regs : 0;
	}
	switch (o.bp_reg) {
	case REG_UNDEFINED:
		if (o.kind == KIND_REGS && !deref(u, next.regs + u->regs_bp, &next.bp)) {
			return false;
		}
		break;
	case REG_PREV_SP:
		if (!deref(u, sp + (uint64_t)(int64_t)o.bp_offset, &next.bp)) {
			return false;
		}
		break;
	case REG_BP:
		if (!deref(u, s->bp + (uint64_t)(int64_t)o.bp_offset, &next.bp)) {
			return false;
		}
		break;
	default:
		return false;
	}
	if (cs & 3) {
		*end = UNWIND_USER;
		return false;
	}
	if (next.sp == s->sp && next.ip == s->ip) {
		return false; /* it does not move */
	}
	*s = next;
	return true;
}

void unwind_stack(struct unwinder *u, const struct unwind_registers *start, bool exact, size_t max,
		  struct unwind *ret)
{
	struct state s = { start->ip, start->sp, start->bp, exact, start->general, 0 };
	bool guessed = false;

	ret->n = 0;
	max = MIN(max, (size_t)UNWIND_FRAMES_MAX);
	for (;;) {
		if (ret->n == max) {
			ret->end = UNWIND_FULL;
			return;
		}
		ret->frames[ret->n++] = (struct frame){ s.ip, s.sp, s.exact, guessed };
		if (!step(u, &s, &guessed, &ret->end)) {
			return;
		}
	}
}

void unwind_task(struct unwinder *u, uint64_t task, size_t max, struct unwind *ret)
{
	uint64_t sp = object_u64(u->k, "task_struct", task, "thread.sp");
	struct unwind_registers r;

	*ret = (struct unwind){ .end = UNWIND_LOST };
	if (!sp || !object_has(u->k, "inactive_task_frame", "ret_addr")) {
		return;
	}
	r = (struct unwind_registers){
		.ip = object_u64(u->k, "inactive_task_frame", sp, "ret_addr"),
		.sp = sp + object_size(u->k, "inactive_task_frame", ""),
		.bp = object_u64(u->k, "inactive_task_frame", sp, "bp"),
	};
	unwind_stack(u, &r, false, max, ret);
}

void unwind_cpu(struct unwinder *u, const struct cpu_state *cpu, size_t max, struct unwind *ret)
{
	const struct unwind_registers r = { cpu->rip, cpu->general[CPU_RSP], cpu->general[CPU_RBP],
					    cpu->general };

	if (cpu->cs & 3) {
		ret->n = 0;
		ret->end = UNWIND_USER;
		return;
	}
	unwind_stack(u, &r, true, max, ret);
}
