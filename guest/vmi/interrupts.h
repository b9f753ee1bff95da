/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupts and timers of a kernel. */
#pragma once

#include "symbols.h"

#define INTERRUPT_CPUS_MAX 1024

struct interrupt {
	char name[16]; /* a number, or the kernel's short name of one that has none */
	char chip[32], handlers[128];
	uint64_t count, *per_cpu; /* of `n_cpus` */
	unsigned n_cpus;
	bool disabled;
};

/* Calls `each` for each one that has a handler or was ever seen. -ENOMEM. */
int interrupts_each(struct kernel *k, void (*each)(const struct interrupt *i, void *user),
		    void *user) _must_check_;

struct timer {
	unsigned cpu;
	char kind[16]; /* "high-res" or "wheel" */
	bool has_due;
	int64_t due_ns; /* from now on; negative: overdue */
	uint64_t function, address;
};

/* Calls `each` for each timer that is set. */
void timers_each(struct kernel *k, void (*each)(const struct timer *t, void *user), void *user);
