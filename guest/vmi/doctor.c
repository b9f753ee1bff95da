/* SPDX-License-Identifier: Apache-2.0 */
/* Says what is wrong with a machine: the run of all checks, and those of the kernel itself. */
#include "doctor.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor_checks.h"
#include "object.h"
#include "printk.h"
#include "system.h"
#include "text.h"

#define NS_PER_S ((uint64_t)1000000000)
#define STUCK_S 10
#define SECOND_LOOK_MS 1100
#define RFLAGS_INTERRUPTS ((uint64_t)1 << 9)
#define TAINT_DIED 7
#define WATCHDOG_SHIFT 30 /* its seconds are 2^30 ns */

void doctor_found(struct doctor *d, enum finding_severity severity, const char *kind,
		  const char *more, const char *format, ...)
{
	struct finding f = { .severity = severity, .kind = kind };
	va_list list;

	va_start(list, format);
	vsnprintf(f.text, sizeof(f.text), format, list);
	va_end(list);
	snprintf(f.more, sizeof(f.more), "%s", more ? more : "");
	text_clean(f.text, false);
	text_clean(f.more, true);
	d->found(&f, d->user);
}

/* ---- the log ---- */

struct log_facts {
	char panic[200], fault[200], fault_at[200], killed[200], error[200];
	unsigned kills, faults, io_errors;
};

static void copy(char *to, size_t size, const char *text)
{
	snprintf(to, size, "%.*s", (int)MIN(strcspn(text, "\n"), size - 1), text);
}

static void look_at_record(const struct printk_record *r, void *user)
{
	struct log_facts *f = user;
	const char *p;

	/* The line behind the stack says it again, within brackets. */
	if (strncmp(r->text, "---[ end ", 9) == 0) {
		return;
	}
	if ((p = strstr(r->text, "Kernel panic - not syncing: "))) {
		copy(f->panic, sizeof(f->panic), p + strlen("Kernel panic - not syncing: "));
	} else if (strncmp(r->text, "BUG: ", 5) == 0 || strncmp(r->text, "Oops: ", 6) == 0 ||
		   strncmp(r->text, "kernel BUG at ", 14) == 0 ||
		   strncmp(r->text, "general protection fault", 24) == 0) {
		if (f->faults++ == 0) {
			copy(f->fault, sizeof(f->fault), r->text);
		}
	} else if (f->faults > 0 && !f->fault_at[0] && strncmp(r->text, "RIP: ", 5) == 0) {
		copy(f->fault_at, sizeof(f->fault_at), r->text + 5);
	} else if ((p = strstr(r->text, "Killed process ")) && strstr(r->text, "emory")) {
		f->kills++;
		copy(f->killed, sizeof(f->killed), p);
	} else if (strncmp(r->text, "I/O error", 9) == 0 || strstr(r->text, ": I/O error") ||
		   strncmp(r->text, "Buffer I/O error", 16) == 0 ||
		   strstr(r->text, " I/O error, dev ")) {
		f->io_errors++;
		copy(f->error, sizeof(f->error), r->text);
	}
}

static int read_kernel(void *user, uint64_t address, void *p, size_t len)
{
	return kernel_read(user, address, p, len);
}

static void check_log(struct doctor *d, const struct system *s)
{
	const struct printk_memory memory = { read_kernel, d->k };
	struct printk_result result;
	struct log_facts f = { 0 };

	if (printk_each(kernel_vmcoreinfo(d->k), &memory, 0, look_at_record, &f, &result) < 0) {
		return;
	}
	if (f.panic[0] || s->panicked) {
		char task[96] = "";
		uint64_t address = s->panicked ? task_of_cpu(d->k, s->panic_cpu) : 0;

		if (address) {
			struct task t;

			task_read(d->k, address, &t);
			snprintf(task, sizeof(task), " on CPU %u, in task %d (%s)", s->panic_cpu,
				 t.pid, t.name);
		}
		doctor_found(d, FINDING_CRITICAL, "panic",
			     "`target dmesg` ends with it; `target bt --cpu N` has the stack",
			     "the kernel panicked%s: %s", task,
			     f.panic[0] ? f.panic : "its log does not say why");
	}
	if (f.faults > 0) {
		char more[220] = "";

		if (f.fault_at[0]) {
			snprintf(more, sizeof(more), "at %s", f.fault_at);
		}
		doctor_found(d, FINDING_CRITICAL, "kernel-fault", more,
			     "the kernel itself failed%s: %s",
			     f.faults > 1 ? ", more than once; first" : "", f.fault);
	} else if (s->taints >> TAINT_DIED & 1) {
		doctor_found(d, FINDING_CRITICAL, "kernel-fault", NULL,
			     "the kernel itself has failed before (it is marked so); its log no "
			     "longer says where");
	}
	if (f.kills > 0) {
		doctor_found(d, FINDING_WARNING, "out-of-memory",
			     "`target mem processes` shows who has it now",
			     "the kernel ran out of memory and killed %u process%s, last: %s",
			     f.kills, f.kills == 1 ? "" : "es", f.killed);
	}
	if (f.io_errors > 0) {
		doctor_found(d, FINDING_WARNING, "io-error", NULL,
			     "the log has %u I/O error%s, last: %s", f.io_errors,
			     f.io_errors == 1 ? "" : "s", f.error);
	}
}

/* ---- CPUs ---- */

static bool describe_cpu(struct doctor *d, unsigned cpu, struct task *t,
			 char where[SYMBOL_TEXT_MAX], const struct cpu_state **ret_state)
{
	uint64_t address = task_of_cpu(d->k, cpu);

	*ret_state = kernel_cpu_state(d->k, cpu);
	if (!address || !*ret_state) {
		return false;
	}
	task_read(d->k, address, t);
	t->on_cpu = (int32_t)cpu;
	if ((*ret_state)->cs & 3) {
		snprintf(where, SYMBOL_TEXT_MAX, "in its own code");
	} else {
		char name[SYMBOL_TEXT_MAX];

		symbols_text(d->stacks->symbols, (*ret_state)->rip, name);
		snprintf(where, SYMBOL_TEXT_MAX, "at %.200s", name);
	}
	return true;
}

/* The seconds since the watchdog's thread last ran on that CPU; 0 if that is not known. */
static uint64_t watchdog_age(struct doctor *d, unsigned cpu)
{
	uint64_t at = kernel_symbol_or_zero(d->k, "watchdog_touch_ts"), then, now;

	if (!at || d->clocks[cpu] == 0) {
		return 0;
	}
	then = kernel_u64(d->k, kernel_per_cpu(d->k, at, cpu));
	now = d->now_ns >> WATCHDOG_SHIFT;
	return then > 0 && then < now ? now - then : 0;
}

static void check_cpu(struct doctor *d, unsigned cpu)
{
	uint64_t lag = d->clocks[cpu] ? d->now_ns - d->clocks[cpu] : 0;
	const struct cpu_state *state;
	char where[SYMBOL_TEXT_MAX], more[64];
	struct task t;

	if (!describe_cpu(d, cpu, &t, where, &state) || t.pid == 0) {
		return; /* idle: its clock may stand */
	}
	snprintf(more, sizeof(more), "`target bt --cpu %u` has its stack", cpu);
	if (lag >= STUCK_S * NS_PER_S) {
		doctor_found(d, FINDING_CRITICAL, "hard-lockup", more,
			     "CPU %u has had no timer interrupt for %u s: task %d (%s) is %s%s",
			     cpu, (unsigned)MIN(lag / NS_PER_S, (uint64_t)UINT32_MAX), t.pid,
			     t.name, where,
			     state->rflags & RFLAGS_INTERRUPTS ? "" : ", interrupts off");
	} else if (watchdog_age(d, cpu) >= STUCK_S) {
		bool off = !(state->cs & 3) && !(state->rflags & RFLAGS_INTERRUPTS);

		doctor_found(d, FINDING_CRITICAL, off ? "hard-lockup" : "soft-lockup", more,
			     "CPU %u has run nothing but task %d (%s) for %u s, which is %s%s", cpu,
			     t.pid, t.name, (unsigned)watchdog_age(d, cpu), where,
			     off ? ", interrupts off" : "");
	} else if (!(state->cs & 3) && !(state->rflags & RFLAGS_INTERRUPTS) &&
		   kernel_cpu_count(d->k) == 1 && !core_is_live(kernel_core(d->k))) {
		doctor_found(d, FINDING_NOTE, "interrupts-off", more,
			     "its only CPU had interrupts off, in task %d (%s) %s: nothing else "
			     "could run then",
			     t.pid, t.name, where);
	} else if (state->cs & 3 || t.pid != 0) {
		doctor_found(d, FINDING_NOTE, "busy", NULL, "CPU %u is busy with task %d (%s), %s",
			     cpu, t.pid, t.name, where);
	}
}

static void read_clocks(struct doctor *d)
{
	uint64_t queues = kernel_symbol_or_zero(d->k, "runqueues");

	d->now_ns = 0;
	for (unsigned i = 0; queues && i < d->n_cpus; i++) {
		d->clocks[i] =
			kernel_cpu_online(d->k, i)
				? object_u64(d->k, "rq", kernel_per_cpu(d->k, queues, i), "clock")
				: 0;
		d->now_ns = MAX(d->now_ns, d->clocks[i]);
	}
}

/* Of a live machine with all CPUs in a loop no clock goes on at all: two looks show it. */
static void check_time_stands(struct doctor *d)
{
	uint64_t jiffies = kernel_symbol_or_zero(d->k, "jiffies"), before, rip_before[64];
	unsigned n = MIN(d->n_cpus, (unsigned)ARRAY_SIZE(rip_before));
	bool moved = false;

	if (!jiffies || !core_is_live(kernel_core(d->k))) {
		return;
	}
	before = kernel_u64(d->k, jiffies);
	for (unsigned i = 0; i < n; i++) {
		const struct cpu_state *s = kernel_cpu_state(d->k, i);

		rip_before[i] = s ? s->rip : 0;
	}
	poll(NULL, 0, SECOND_LOOK_MS);
	if (kernel_refresh(d->k) < 0 || kernel_u64(d->k, jiffies) != before) {
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		const struct cpu_state *s = kernel_cpu_state(d->k, i);

		moved |= s && s->rip != rip_before[i];
	}
	for (unsigned i = 0; i < n; i++) {
		const struct cpu_state *state;
		char where[SYMBOL_TEXT_MAX];
		struct task t;

		if (!describe_cpu(d, i, &t, where, &state) || t.pid == 0) {
			continue;
		}
		doctor_found(d, FINDING_CRITICAL, moved ? "hard-lockup" : "stands",
			     "`target bt --all` has all stacks",
			     moved ? "time does not go on: CPU %u gets no timer interrupts, task "
				     "%d (%s) is %s%s"
				   : "nothing moves: the target is paused, or CPU %u spins in task "
				     "%d (%s) %s%s",
			     i, t.pid, t.name, where,
			     state->rflags & RFLAGS_INTERRUPTS ? "" : ", interrupts off");
	}
}

int doctor_run(struct kernel *k, struct stacks *stacks,
	       void (*found)(const struct finding *f, void *user), void *user)
{
	struct doctor d = { .k = k, .stacks = stacks, .found = found, .user = user };
	struct system s;
	int r;

	d.n_cpus = kernel_cpu_count(k);
	d.clocks = calloc(d.n_cpus, sizeof(*d.clocks));
	r = d.clocks ? tasks_load(k, true, &d.tasks) : -ENOMEM;
	if (r < 0) {
		free(d.clocks);
		return r;
	}
	system_read(k, &s);
	read_clocks(&d);
	check_log(&d, &s);
	if (!s.panicked) {
		for (unsigned i = 0; i < d.n_cpus; i++) {
			if (kernel_cpu_online(k, i)) {
				check_cpu(&d, i);
			}
		}
	}
	doctor_check_locks(&d);
	doctor_check_blocked(&d);
	doctor_check_disks(&d);
	doctor_check_memory(&d);
	doctor_check_file_systems(&d);
	doctor_check_prompts(&d);
	if (!s.panicked) {
		check_time_stands(&d); /* last: it reads all anew */
	}
	tasks_fini(&d.tasks);
	free(d.clocks);
	return 0;
}
