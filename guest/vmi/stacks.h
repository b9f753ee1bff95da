/* SPDX-License-Identifier: Apache-2.0 */
/* Stacks as several verbs show them. */
#pragma once

#include "task.h"
#include "unwind.h"

/* What reading stacks takes: symbols always, the unwinder where the kernel has its tables. */
struct stacks {
	struct kernel *k;
	struct symbols *symbols;
	struct unwinder *unwinder; /* NULL: none */
	uint64_t sched_start, sched_end, lock_start, lock_end;
};

int stacks_open(struct kernel *k, struct stacks *s, struct fault *ret_fault) _must_check_;
void stacks_close(struct stacks *s);
/* Of a task, whether it runs or not. False if stacks cannot be read here at all. */
bool stacks_of(struct stacks *s, const struct task *t, size_t max, struct unwind *ret);
/* The first frame that is not the scheduler's own: what the task waits for. False: none. */
bool stacks_waits_in(struct stacks *s, const struct task *t, uint64_t *ret_address);
