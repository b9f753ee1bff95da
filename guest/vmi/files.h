/* SPDX-License-Identifier: Apache-2.0 */
/* The open files and the address space of a process. */
#pragma once

#include "paths.h"
#include "task.h"

#define FILES_MAX 1048576
#define AREAS_MAX 262144

/* Calls `each` with each open file's number and struct file. */
void files_each(struct kernel *k, const struct task *t,
		bool (*each)(struct kernel *k, unsigned fd, uint64_t file, void *user), void *user);

struct area {
	uint64_t start, end, offset_bytes;
	bool read, write, execute, shared;
	char name[PATH_TEXT_MAX]; /* of its file, "[heap]", "[stack]", "[vdso]"; "" if none */
};

/* Calls `each` with each area of the process's memory, in order. */
void areas_each(struct kernel *k, const struct task *t,
		void (*each)(const struct area *a, void *user), void *user);
