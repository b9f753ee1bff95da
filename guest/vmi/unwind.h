/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks of a Linux kernel, by the ORC tables that it and its modules carry
 * (Documentation/arch/x86/orc-unwinder.rst).
 */
#pragma once

#include "symbols.h"

#define UNWIND_FRAMES_MAX 128

struct unwind_registers {
	uint64_t ip, sp, bp;
	/* Where a table may ask for others: NULL if they are not known. Order of enum cpu_register.
	 */
	const uint64_t *general;
};

struct frame {
	uint64_t ip, sp;
	bool exact;   /* `ip` was interrupted there; else it is where a call returns to */
	bool guessed; /* no table says so: found through a frame pointer */
};

enum unwind_end {
	UNWIND_DONE, /* the stack's end */
	UNWIND_USER, /* a process was interrupted, or called the kernel */
	UNWIND_LOST, /* the tables or the stack make no sense from there on */
	UNWIND_FULL, /* more frames than asked for */
};

struct unwind {
	struct frame frames[UNWIND_FRAMES_MAX];
	size_t n;
	enum unwind_end end;
};

struct unwinder;

/* Both are borrowed. -ENOENT if the kernel has no ORC tables, -ENOMEM. */
int unwinder_new(struct kernel *k, struct symbols *symbols, struct unwinder **ret) _must_check_;
struct unwinder *unwinder_free(struct unwinder *u);
/* At most `max` frames. `exact`: the registers are those of a running CPU. */
void unwind_stack(struct unwinder *u, const struct unwind_registers *start, bool exact, size_t max,
		  struct unwind *ret);
/* The stack of a task that does not run, from its task_struct. */
void unwind_task(struct unwinder *u, uint64_t task, size_t max, struct unwind *ret);
/* Of a CPU, as its registers are. */
void unwind_cpu(struct unwinder *u, const struct cpu_state *cpu, size_t max, struct unwind *ret);
