/* SPDX-License-Identifier: Apache-2.0 */
/* Stacks as several verbs show them. */
#include "stacks.h"

#include <errno.h>

#define WAIT_FRAMES 24

int stacks_open(struct kernel *k, struct stacks *s, struct fault *ret_fault)
{
	*s = (struct stacks){ .k = k };
	if (symbols_new(k, &s->symbols) < 0) {
		fault_set(ret_fault, FAULT_INTERNAL, "no memory");
		return -ENOMEM;
	}
	if (unwinder_new(k, s->symbols, &s->unwinder) < 0) {
		s->unwinder = NULL;
	}
	s->sched_start = kernel_symbol_or_zero(k, "__sched_text_start");
	s->sched_end = kernel_symbol_or_zero(k, "__sched_text_end");
	s->lock_start = kernel_symbol_or_zero(k, "__lock_text_start");
	s->lock_end = kernel_symbol_or_zero(k, "__lock_text_end");
	return 0;
}

void stacks_close(struct stacks *s)
{
	s->unwinder = unwinder_free(s->unwinder);
	s->symbols = symbols_free(s->symbols);
}

bool stacks_of(struct stacks *s, const struct task *t, size_t max, struct unwind *ret)
{
	const struct cpu_state *cpu;

	*ret = (struct unwind){ .end = UNWIND_LOST };
	if (!s->unwinder) {
		return false;
	}
	if (t->on_cpu < 0) {
		unwind_task(s->unwinder, t->address, max, ret);
		return true;
	}
	cpu = kernel_cpu_state(s->k, (unsigned)t->on_cpu);
	if (!cpu) {
		return false;
	}
	unwind_cpu(s->unwinder, cpu, max, ret);
	return true;
}

bool stacks_waits_in(struct stacks *s, const struct task *t, uint64_t *ret_address)
{
	struct unwind u;

	if (t->on_cpu >= 0 || t->state == 'R' || t->state == 'Z' || t->state == 'X' ||
	    !stacks_of(s, t, WAIT_FRAMES, &u)) {
		return false;
	}
	for (size_t i = 0; i < u.n; i++) {
		uint64_t ip = u.frames[i].ip;

		if (ip - s->sched_start >= s->sched_end - s->sched_start &&
		    ip - s->lock_start >= s->lock_end - s->lock_start) {
			*ret_address = ip;
			return true;
		}
	}
	return false;
}
