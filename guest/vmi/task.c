/* SPDX-License-Identifier: Apache-2.0 */
/* The tasks of a Linux kernel. */
#include "task.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "object.h"
#include "text.h"
#include "walk.h"

#define THREADS_MAX 65536
#define FLAG_KERNEL_THREAD 0x00200000u /* PF_KTHREAD */
#define NAME_UNKNOWN "?"

/* Bits of task->__state and exit_state (include/linux/sched.h), the same since 4.14; that of
 * "frozen" since 6.1, of an RT lock since 5.15. */
#define STATE_UNINTERRUPTIBLE 0x02u
#define STATE_REPORT 0x7fu
#define STATE_NOLOAD 0x400u
#define STATE_IDLE (STATE_UNINTERRUPTIBLE | STATE_NOLOAD)
#define STATE_RTLOCK_WAIT 0x1000u
#define STATE_FROZEN 0x8000u

static char state_letter(uint64_t state, uint64_t exit_state)
{
	static const char letters[] = "RSDTtXZP";
	uint64_t report = (state | exit_state) & STATE_REPORT;
	int bit = 0;

	if ((state & STATE_IDLE) == STATE_IDLE) {
		return 'I';
	}
	if (state & (STATE_RTLOCK_WAIT | STATE_FROZEN)) {
		report = STATE_UNINTERRUPTIBLE;
	}
	while (report) {
		bit++;
		report >>= 1;
	}
	return letters[bit];
}

const char *task_state_name(char state)
{
	switch (state) {
	case 'R':
		return "running";
	case 'S':
		return "sleeping";
	case 'D':
		return "blocked";
	case 'T':
		return "stopped";
	case 't':
		return "traced";
	case 'X':
		return "dead";
	case 'Z':
		return "zombie";
	case 'P':
		return "parked";
	case 'I':
		return "idle";
	default:
		return NAME_UNKNOWN;
	}
}

uint64_t task_of_cpu(struct kernel *k, unsigned cpu)
{
	uint64_t queue = kernel_symbol_or_zero(k, "runqueues");

	queue = queue ? kernel_per_cpu(k, queue, cpu) : 0;
	return queue ? object_u64(k, "rq", queue, "curr") : 0;
}

void task_read(struct kernel *k, uint64_t address, struct task *t)
{
	uint64_t state = object_u64(k, "task_struct", address,
				    object_has(k, "task_struct", "__state") ? "__state" : "state");
	const char *cpu =
		object_has(k, "task_struct", "thread_info.cpu") ? "thread_info.cpu" : "cpu";

	*t = (struct task){
		.address = address,
		.pid = (int32_t)object_u64(k, "task_struct", address, "pid"),
		.tgid = (int32_t)object_u64(k, "task_struct", address, "tgid"),
		.parent = (int32_t)object_u64(k, "task_struct", address, "real_parent->tgid"),
		.state = state_letter(state, object_u64(k, "task_struct", address, "exit_state")),
		.kernel_thread =
			object_u64(k, "task_struct", address, "flags") & FLAG_KERNEL_THREAD,
		.on_cpu = -1,
		.last_cpu = (int32_t)object_u64(k, "task_struct", address, cpu),
		.run_ns = object_u64(k, "task_struct", address, "se.sum_exec_runtime"),
		.started_ns = object_u64(k, "task_struct", address,
					 object_has(k, "task_struct", "start_boottime")
						 ? "start_boottime"
						 : "real_start_time"),
		.mm = object_u64(k, "task_struct", address, "mm"),
		.leader = object_u64(k, "task_struct", address, "group_leader"),
	};
	object_text(k, "task_struct", address, "comm", t->name, sizeof(t->name));
}

struct load {
	struct kernel *k;
	struct tasks *tasks;
	size_t room;
	uint64_t *running; /* task of each CPU */
	unsigned cpus;
};

static int add(struct load *l, uint64_t address)
{
	struct task *t;

	if (l->tasks->n == TASKS_MAX) {
		return -ENOSPC;
	}
	if (l->tasks->n == l->room) {
		l->room = l->room ? l->room * 2 : 256;
		t = realloc(l->tasks->list, l->room * sizeof(*t));
		if (!t) {
			return -ENOMEM;
		}
		l->tasks->list = t;
	}
	t = &l->tasks->list[l->tasks->n++];
	task_read(l->k, address, t);
	for (unsigned i = 0; i < l->cpus; i++) {
		if (l->running[i] == address) {
			t->on_cpu = (int32_t)i;
		}
	}
	return 0;
}

static int add_threads(struct load *l, uint64_t leader)
{
	uint64_t head = object_at(l->k, "task_struct", leader, "signal->thread_head"), thread;
	struct walk walk;
	int r = 0;

	list_begin(&walk, l->k, head, object_offset(l->k, "task_struct", "thread_node"));
	for (int i = 0; r == 0 && i < THREADS_MAX && list_next(&walk, &thread); i++) {
		if (thread != leader) {
			r = add(l, thread);
		}
	}
	return r;
}

int tasks_load(struct kernel *k, bool threads, struct tasks *ret)
{
	uint64_t init = kernel_symbol_or_zero(k, "init_task"), task;
	struct load l = { .k = k, .tasks = ret };
	struct walk walk;
	int r = 0;

	*ret = (struct tasks){ 0 };
	if (!init) {
		kernel_mark(k, "this kernel does not tell where its tasks are");
		return 0;
	}
	l.cpus = MIN(kernel_cpu_count(k), 1024u);
	l.running = calloc(l.cpus, sizeof(*l.running));
	if (!l.running) {
		return -ENOMEM;
	}
	for (unsigned i = 0; i < l.cpus; i++) {
		l.running[i] = kernel_cpu_online(k, i) ? task_of_cpu(k, i) : 0;
	}
	list_begin(&walk, k, object_at(k, "task_struct", init, "tasks"),
		   object_offset(k, "task_struct", "tasks"));
	while (r == 0 && list_next(&walk, &task)) {
		r = add(&l, task);
		if (r == 0 && threads) {
			r = add_threads(&l, task);
		}
	}
	free(l.running);
	if (r == -ENOSPC) {
		kernel_mark(k, "there are more than %d tasks", TASKS_MAX);
		r = 0;
	}
	if (r < 0) {
		tasks_fini(ret);
	}
	return r;
}

void tasks_fini(struct tasks *t)
{
	free(t->list);
	*t = (struct tasks){ 0 };
}

const struct task *tasks_find(const struct tasks *t, int32_t pid)
{
	for (size_t i = 0; i < t->n; i++) {
		if (t->list[i].pid == pid) {
			return &t->list[i];
		}
	}
	return NULL;
}

const struct task *tasks_at(const struct tasks *t, uint64_t address)
{
	for (size_t i = 0; i < t->n; i++) {
		if (t->list[i].address == address) {
			return &t->list[i];
		}
	}
	return NULL;
}

uint64_t task_process_run_ns(struct kernel *k, const struct task *t)
{
	uint64_t head = object_at(k, "task_struct", t->address, "signal->thread_head"), thread;
	uint64_t sum = object_u64(k, "task_struct", t->address, "signal->sum_sched_runtime");
	struct walk walk;

	if (!head) {
		return t->run_ns;
	}
	list_begin(&walk, k, head, object_offset(k, "task_struct", "thread_node"));
	for (int i = 0; i < THREADS_MAX && list_next(&walk, &thread); i++) {
		sum += object_u64(k, "task_struct", thread, "se.sum_exec_runtime");
	}
	return sum;
}

int task_read_memory(struct kernel *k, const struct task *t, uint64_t address, void *p, size_t len)
{
	struct paging paging;
	uint64_t top = t->mm ? object_u64(k, "mm_struct", t->mm, "pgd") : 0, root, left;
	int r;

	if (!top) {
		return -EFAULT;
	}
	r = paging_translate(kernel_paging(k), top, &root, &left);
	if (r < 0) {
		return r;
	}
	paging_init(&paging, kernel_core(k), root, kernel_paging(k)->five_levels);
	return paging_read(&paging, address, p, len);
}

void task_command(struct kernel *k, const struct task *t, char *out, size_t size)
{
	uint64_t start, end;
	size_t len;

	out[0] = '\0';
	if (!t->mm || size < 2) {
		return;
	}
	start = object_u64(k, "mm_struct", t->mm, "arg_start");
	end = object_u64(k, "mm_struct", t->mm, "arg_end");
	if (end <= start) {
		return;
	}
	len = (size_t)MIN(end - start, (uint64_t)(size - 1));
	if (task_read_memory(k, t, start, out, len) < 0) {
		/* its first page at least */
		len = MIN(len, (size_t)(PAGE_BYTES - start % PAGE_BYTES));
		if (task_read_memory(k, t, start, out, len) < 0) {
			len = 0;
		}
	}
	while (len > 0 && out[len - 1] == '\0') {
		len--;
	}
	out[len] = '\0';
	for (size_t i = 0; i < len; i++) {
		if (out[i] == '\0') {
			out[i] = ' ';
		}
	}
	text_clean(out, false);
}
