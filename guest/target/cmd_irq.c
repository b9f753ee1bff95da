/* SPDX-License-Identifier: Apache-2.0 */
/* target irq, target timers: the target's interrupts, and what it waits the time for. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "interrupts.h"
#include "memory.h"

static const struct column irq_columns[] = {
	{ "irq", "IRQ", true },	   { "count", "COUNT", true },	{ "by_cpu", "BY CPU", false },
	{ "chip", "CHIP", false }, { "state", "STATE", false }, { "handlers", "HANDLERS", false },
};

static const struct column timer_columns[] = {
	{ "cpu", "CPU", true },	       { "due_ns", "DUE", true },
	{ "kind", "KIND", false },     { "function", "FUNCTION", false },
	{ "address", "TIMER", false },
};

static void irq_row(const struct interrupt *i, void *user)
{
	char cpus[256] = "";
	size_t len = 0;

	for (unsigned cpu = 0; cpu < i->n_cpus && len + 24 < sizeof(cpus); cpu++) {
		len += (size_t)snprintf(cpus + len, sizeof(cpus) - len, "%s%" PRIu64,
					cpu ? " " : "", i->per_cpu[cpu]);
	}
	table_text(user, "%s", i->name);
	table_number(user, (int64_t)i->count);
	table_text(user, "%s", cpus);
	table_text(user, "%s", i->chip[0] ? i->chip : "-");
	table_text(user, "%s", i->disabled ? "disabled" : "-");
	table_text(user, "%s", i->handlers[0] ? i->handlers : "-");
}

static int fill_irq(struct kernel *k, struct invocation *in, struct table *table,
		    struct fault *ret_fault)
{
	return interrupts_each(k, irq_row, table) < 0
		       ? fault_set(ret_fault, FAULT_INTERNAL, "no memory")
		       : 0;
}

int cmd_irq(const struct command *c, struct invocation *in)
{
	return memory_table(in, "interrupts", irq_columns, ARRAY_SIZE(irq_columns), fill_irq);
}

struct timers {
	struct timer *list;
	size_t n, room;
};

static void add_timer(const struct timer *t, void *user)
{
	struct timers *all = user;

	if (all->n == all->room) {
		size_t room = all->room ? all->room * 2 : 256;
		struct timer *more = realloc(all->list, room * sizeof(*more));

		if (!more) {
			return;
		}
		all->list = more;
		all->room = room;
	}
	all->list[all->n++] = *t;
}

static int compare_timers(const void *a, const void *b)
{
	const struct timer *first = a, *second = b;

	if (first->cpu != second->cpu) {
		return first->cpu < second->cpu ? -1 : 1;
	}
	if (first->has_due != second->has_due) {
		return first->has_due ? -1 : 1;
	}
	return first->due_ns < second->due_ns ? -1 : first->due_ns > second->due_ns;
}

static int fill_timers(struct kernel *k, struct invocation *in, struct table *table,
		       struct fault *ret_fault)
{
	struct timers all = { 0 };
	struct symbols *s;

	if (symbols_new(k, &s) < 0) {
		return fault_set(ret_fault, FAULT_INTERNAL, "no memory");
	}
	timers_each(k, add_timer, &all);
	if (all.n) {
		qsort(all.list, all.n, sizeof(*all.list), compare_timers);
	}
	for (size_t i = 0; i < all.n; i++) {
		const struct timer *t = &all.list[i];
		char name[SYMBOL_TEXT_MAX];

		symbols_name(s, t->function, name);
		table_number(table, t->cpu);
		if (t->has_due) {
			int64_t ms = t->due_ns / 1000000;

			table_number_as(table, t->due_ns, "%s%lld.%03llds", ms < 0 ? "-" : "",
					llabs(ms) / 1000, llabs(ms) % 1000);
		} else {
			table_none(table);
		}
		table_text(table, "%s", t->kind);
		table_text(table, "%s", name);
		table_text(table, "0x%016" PRIx64, t->address);
	}
	free(all.list);
	symbols_free(s);
	return 0;
}

int cmd_timers(const struct command *c, struct invocation *in)
{
	return memory_table(in, "timers", timer_columns, ARRAY_SIZE(timer_columns), fill_timers);
}
