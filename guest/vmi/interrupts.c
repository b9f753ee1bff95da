/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupts and timers of a kernel. */
#include "interrupts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "le.h"
#include "object.h"
#include "walk.h"

#define ACTIONS_MAX 32
#define TIMERS_MAX 200000
#define VECTORS_MAX 1024
#define BASES_MAX 16

struct each {
	struct kernel *k;
	void (*each)(const struct interrupt *i, void *user);
	void *user;
	uint64_t *counts;
	unsigned n_cpus;
};

static void count(struct each *e, struct interrupt *i, uint64_t per_cpu)
{
	i->per_cpu = e->counts;
	i->n_cpus = e->n_cpus;
	for (unsigned cpu = 0; cpu < e->n_cpus; cpu++) {
		uint64_t at = per_cpu && kernel_cpu_online(e->k, cpu)
				      ? kernel_per_cpu(e->k, per_cpu, cpu)
				      : 0;

		/* the count is the first member also where it is one of a struct (6.10 on) */
		e->counts[cpu] = at ? kernel_u32(e->k, at) : 0;
		i->count += e->counts[cpu];
	}
}

static bool visit(struct kernel *k, uint64_t number, uint64_t desc, void *user)
{
	struct each *e = user;
	struct interrupt i = { 0 };
	uint64_t action = object_u64(k, "irq_desc", desc, "action"), chip;

	snprintf(i.name, sizeof(i.name), "%" PRIu64, number);
	count(e, &i, object_u64(k, "irq_desc", desc, "kstat_irqs"));
	if (!action && i.count == 0) {
		return true;
	}
	chip = object_u64(k, "irq_desc", desc, "irq_data.chip");
	if (chip) {
		object_text(k, "irq_chip", chip, "name", i.chip, sizeof(i.chip));
	}
	i.disabled = action && object_u64(k, "irq_desc", desc, "depth") > 0;
	for (int n = 0; action && n < ACTIONS_MAX; n++) {
		char name[48];
		size_t len = strlen(i.handlers);

		object_text(k, "irqaction", action, "name", name, sizeof(name));
		snprintf(i.handlers + len, sizeof(i.handlers) - len, "%s%s", len ? ", " : "", name);
		action = object_u64(k, "irqaction", action, "next");
	}
	e->each(&i, e->user);
	return true;
}

static void visit_own(struct each *e)
{
	static const struct {
		const char *member, *name, *what;
	} kinds[] = {
		{ "__nmi_count", "NMI", "non-maskable" },
		{ "apic_timer_irqs", "LOC", "local timer" },
		{ "irq_resched_count", "RES", "rescheduling" },
		{ "irq_call_count", "CAL", "function calls" },
		{ "irq_tlb_count", "TLB", "TLB shootdowns" },
		{ "irq_spurious_count", "SPU", "spurious" },
	};
	uint64_t stat = kernel_symbol_or_zero(e->k, "irq_stat");

	for (size_t n = 0; stat && n < ARRAY_SIZE(kinds); n++) {
		struct interrupt i = { 0 };

		if (!object_has(e->k, "irq_cpustat_t", kinds[n].member)) {
			continue;
		}
		snprintf(i.name, sizeof(i.name), "%s", kinds[n].name);
		snprintf(i.handlers, sizeof(i.handlers), "%s", kinds[n].what);
		count(e, &i, stat + object_offset(e->k, "irq_cpustat_t", kinds[n].member));
		if (i.count > 0) {
			e->each(&i, e->user);
		}
	}
}

int interrupts_each(struct kernel *k, void (*each)(const struct interrupt *i, void *user),
		    void *user)
{
	_cleanup_free_ uint64_t *counts = NULL;
	struct each e = { k, each, user, NULL, MIN(kernel_cpu_count(k), INTERRUPT_CPUS_MAX + 0u) };
	uint64_t tree;

	counts = calloc(e.n_cpus, sizeof(*counts));
	if (!counts) {
		return -ENOMEM;
	}
	e.counts = counts;
	if (kernel_symbol(k, "sparse_irqs", &tree)) { /* 6.5 and later */
		maple_walk(k, tree, visit, &e);
	} else if (kernel_symbol(k, "irq_desc_tree", &tree)) {
		xarray_walk(k, tree, visit, &e);
	} else {
		kernel_mark(k, "this kernel does not tell where its interrupts are");
	}
	visit_own(&e);
	return 0;
}

/* ---- timers ---- */

struct timers {
	struct kernel *k;
	void (*each)(const struct timer *t, void *user);
	void *user;
	unsigned cpu, n;
	uint64_t now_ns; /* of the clock that is walked */
};

static bool visit_timer(struct kernel *k, uint64_t node, void *user)
{
	struct timers *all = user;
	struct timer t = { .cpu = all->cpu, .kind = "high-res", .has_due = true };

	t.address = node - object_offset(k, "hrtimer", "node");
	t.function = object_u64(k, "hrtimer", t.address, "function");
	t.due_ns = (int64_t)(object_u64(k, "timerqueue_node", node, "expires") - all->now_ns);
	all->each(&t, all->user);
	return ++all->n < TIMERS_MAX;
}

static void high_resolution(struct timers *all)
{
	struct kernel *k = all->k;
	uint64_t bases = kernel_symbol_or_zero(k, "hrtimer_bases"), at, size, n;
	bool ok = bases && object_has(k, "hrtimer_cpu_base", "clock_base") &&
		  object_has(k, "hrtimer_clock_base", "active.rb_root.rb_root");

	if (!ok) {
		return;
	}
	at = object_at(k, "hrtimer_cpu_base", kernel_per_cpu(k, bases, all->cpu), "clock_base");
	size = object_size(k, "hrtimer_clock_base", "");
	n = size ? object_size(k, "hrtimer_cpu_base", "clock_base") / size : 0;
	for (uint64_t i = 0; i < MIN(n, (uint64_t)BASES_MAX); i++) {
		uint64_t base = at + i * size;
		uint64_t mono = all->now_ns;

		/* the other clocks are this far from the monotonic one */
		all->now_ns += object_u64(k, "hrtimer_clock_base", base, "offset");
		rbtree_walk(k, object_at(k, "hrtimer_clock_base", base, "active.rb_root.rb_root"),
			    object_offset(k, "timerqueue_node", "node"), visit_timer, all);
		all->now_ns = mono;
	}
}

static void wheel_base(struct timers *all, uint64_t base, uint64_t jiffies, uint64_t tick_ns)
{
	struct kernel *k = all->k;
	_cleanup_free_ uint8_t *heads = NULL;
	uint64_t vectors = object_at(k, "timer_base", base, "vectors");
	uint64_t n = object_size(k, "timer_base", "vectors") / 8;

	if (n == 0 || n > VECTORS_MAX) {
		return;
	}
	heads = malloc(n * 8);
	if (!heads || kernel_read(k, vectors, heads, n * 8) < 0) {
		kernel_mark(k, "the timers of CPU %u cannot be read", all->cpu);
		return;
	}
	for (uint64_t i = 0; i < n; i++) {
		struct walk walk;
		uint64_t timer;

		if (le_u64(heads + i * 8) == 0) {
			continue;
		}
		hlist_begin(&walk, k, vectors + i * 8, object_offset(k, "timer_list", "entry"));
		while (all->n < TIMERS_MAX && list_next(&walk, &timer)) {
			struct timer t = { .cpu = all->cpu, .kind = "wheel", .address = timer };
			int64_t ticks =
				(int64_t)(object_u64(k, "timer_list", timer, "expires") - jiffies);

			t.function = object_u64(k, "timer_list", timer, "function");
			t.has_due = tick_ns > 0 && ticks > -((int64_t)1 << 32) &&
				    ticks < (int64_t)1 << 36;
			t.due_ns = t.has_due ? ticks * (int64_t)tick_ns : 0;
			all->each(&t, all->user);
			all->n++;
		}
	}
}

static void wheel(struct timers *all)
{
	struct kernel *k = all->k;
	uint64_t bases = kernel_symbol_or_zero(k, "timer_bases"),
		 jiffies = kernel_symbol_or_zero(k, "jiffies"),
		 tick = kernel_symbol_or_zero(k, "tick_nsec"), size, first;

	size = object_size(k, "timer_base", "");
	if (!bases || !jiffies || size == 0) {
		return;
	}
	jiffies = kernel_u64(k, jiffies);
	tick = tick ? kernel_u64(k, tick) : 0;
	if (tick < 100000 || tick > 100000000) {
		tick = 0;
	}
	first = kernel_per_cpu(k, bases, all->cpu);
	/* two or three of them, by the kernel's version: each knows its CPU and is near the time */
	for (unsigned i = 0; first && i < 3; i++) {
		uint64_t base = first + i * size;
		uint64_t clock = object_u64(k, "timer_base", base, "clk");

		if (object_u64(k, "timer_base", base, "cpu") != all->cpu ||
		    jiffies - clock + 1000000000 > 2000000000) {
			break;
		}
		wheel_base(all, base, jiffies, tick);
	}
}

void timers_each(struct kernel *k, void (*each)(const struct timer *t, void *user), void *user)
{
	struct timers all = { .k = k, .each = each, .user = user };

	for (unsigned cpu = 0; cpu < kernel_cpu_count(k); cpu++) {
		uint64_t bases = kernel_symbol_or_zero(k, "hrtimer_bases");
		uint64_t monotonic = kernel_symbol_or_zero(k, "last_jiffies_update");

		if (!kernel_cpu_online(k, cpu)) {
			continue;
		}
		all.cpu = cpu;
		/* the time of the last tick, on the clock that timers count by */
		all.now_ns = bases && monotonic ? kernel_u64(k, monotonic) : 0;
		high_resolution(&all);
		wheel(&all);
	}
}
