/* SPDX-License-Identifier: Apache-2.0 */
/* target ps: the target's tasks. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "memory.h"
#include "stacks.h"
#include "system.h"
#include "table.h"

#define COMMAND_MAX 256

static const struct column columns[] = {
	{ "pid", "PID", true },		 { "tid", NULL, true },
	{ "ppid", "PPID", true },	 { "state", "S", false },
	{ "cpu", "CPU", true },		 { "time_ns", "TIME", true },
	{ "age_ns", "AGE", true },	 { "waits_in", "WAITS IN", false },
	{ "name", NULL, false },	 { "kernel_thread", NULL, false },
	{ "command", "COMMAND", false },
};

static const struct column thread_columns[] = {
	{ "pid", "PID", true },		 { "tid", "TID", true },
	{ "ppid", "PPID", true },	 { "state", "S", false },
	{ "cpu", "CPU", true },		 { "time_ns", "TIME", true },
	{ "age_ns", "AGE", true },	 { "waits_in", "WAITS IN", false },
	{ "name", NULL, false },	 { "kernel_thread", NULL, false },
	{ "command", "COMMAND", false },
};

static void age(struct table *t, uint64_t ns)
{
	uint64_t s = ns / 1000000000;
	static const struct {
		uint64_t seconds;
		const char *unit;
	} units[] = { { 86400, "d" }, { 3600, "h" }, { 60, "m" }, { 1, "s" } };

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (s >= units[i].seconds || units[i].seconds == 1) {
			table_number_as(t, (int64_t)ns, "%" PRIu64 "%s", s / units[i].seconds,
					units[i].unit);
			return;
		}
	}
}

static void row(struct table *table, struct stacks *s, const struct task *t, bool threads,
		bool has_uptime, uint64_t uptime_ns)
{
	uint64_t ns = threads ? t->run_ns : task_process_run_ns(s->k, t), address;
	char command[COMMAND_MAX], name[SYMBOL_TEXT_MAX];

	table_number(table, t->tgid);
	table_number(table, t->pid);
	table_number(table, t->parent);
	table_text(table, "%c", t->state);
	if (t->on_cpu >= 0) {
		table_number(table, t->on_cpu);
	} else {
		table_none(table);
	}
	table_number_as(table, (int64_t)ns, "%" PRIu64 ":%02" PRIu64 ".%02" PRIu64,
			ns / 60000000000, ns / 1000000000 % 60, ns / 10000000 % 100);
	if (has_uptime && uptime_ns >= t->started_ns) {
		age(table, uptime_ns - t->started_ns);
	} else {
		table_none(table);
	}
	if (stacks_waits_in(s, t, &address)) {
		symbols_text(s->symbols, address, name);
		name[strcspn(name, "+")] = '\0';
		table_text(table, "%s", name);
	} else {
		table_none(table);
	}
	table_text(table, "%s", t->name);
	table_bool(table, t->kernel_thread, "yes", "no");
	task_command(s->k, t, command, sizeof(command));
	if (command[0] && (t->pid == t->tgid || !threads)) {
		table_text(table, "%s", command);
	} else {
		table_text(table, "[%s]", t->name);
	}
}

int cmd_ps(const struct command *c, struct invocation *in)
{
	struct fault fault = { 0 };
	bool threads = false, has_uptime;
	uint64_t uptime_ns = 0;
	struct table *table;
	struct stacks s;
	struct tasks tasks;
	struct kernel *k;

	if (in->argc == 1) {
		if (strcmp(in->argv[0], "-T") != 0 && strcmp(in->argv[0], "--threads") != 0) {
			return usage(c);
		}
		threads = true;
	}
	if (memory_open_types(in, &k, &fault) < 0) {
		return complain(&fault);
	}
	if (stacks_open(k, &s, &fault) < 0) {
		kernel_free(k);
		return complain(&fault);
	}
	if (tasks_load(k, threads, &tasks) < 0) {
		fault_set(&fault, FAULT_INTERNAL, "no memory");
		stacks_close(&s);
		kernel_free(k);
		return complain(&fault);
	}
	has_uptime = system_uptime(k, &uptime_ns);
	table = table_new("tasks", threads ? thread_columns : columns, ARRAY_SIZE(columns));
	for (size_t i = 0; i < tasks.n; i++) {
		row(table, &s, &tasks.list[i], threads, has_uptime, uptime_ns);
	}
	table_print(table, in->json, memory_partial(k));
	table_free(table);
	tasks_fini(&tasks);
	stacks_close(&s);
	kernel_free(k);
	return 0;
}
