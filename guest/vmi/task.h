/* SPDX-License-Identifier: Apache-2.0 */
/* The tasks of a Linux kernel. */
#pragma once

#include "kernel.h"

#define TASKS_MAX 200000

struct task {
	uint64_t address; /* of the kernel's task_struct */
	int32_t pid;	  /* the thread's own */
	int32_t tgid;	  /* the process's */
	int32_t parent;
	char name[32];
	char state; /* as in ps(1): R S D T t X Z P I */
	bool kernel_thread;
	int32_t on_cpu;	     /* which CPU runs it now; -1: none */
	int32_t last_cpu;    /* where it ran last */
	uint64_t run_ns;     /* CPU time of the thread */
	uint64_t started_ns; /* since boot */
	uint64_t mm;	     /* 0: none */
	uint64_t leader;     /* task_struct of the process's first thread */
};

struct tasks {
	struct task *list; /* processes in the kernel's order, each followed by its threads */
	size_t n;
};

/* Reads all; `threads`: also those that are not the first of their process. -ENOMEM. */
int tasks_load(struct kernel *k, bool threads, struct tasks *ret) _must_check_;
void tasks_fini(struct tasks *t);
/* One that the list need not have: an idle task. */
void task_read(struct kernel *k, uint64_t address, struct task *ret);
/* By thread number; NULL: none. */
const struct task *tasks_find(const struct tasks *t, int32_t pid);
const struct task *tasks_at(const struct tasks *t, uint64_t address);
/* The task that a CPU runs; 0 if unknown. */
uint64_t task_of_cpu(struct kernel *k, unsigned cpu);
/* "sleeping" … for a state's letter. */
const char *task_state_name(char state);
/* The CPU time of all of a process's threads, those that have ended too. */
uint64_t task_process_run_ns(struct kernel *k, const struct task *t);
/* The arguments it was started with, blanks between; "" if they are not to be had (a kernel thread;
 * paged out). */
void task_command(struct kernel *k, const struct task *t, char *out, size_t size);
/* Reads from the memory of a process. -EFAULT where it has none, or not now. */
int task_read_memory(struct kernel *k, const struct task *t, uint64_t address, void *p,
		     size_t len) _must_check_;
