/* SPDX-License-Identifier: Apache-2.0 */
/* The target's memory, as the verbs that look into it get it. */
#pragma once

#include "kernel.h"
#include "table.h"
#include "target.h"
#include "task.h"

/*
 * Opens the file of --core, else the device of the target's live memory that -t names, which is
 * plugged in where it is not here. On failure fills the fault. 0 or -errno.
 */
int memory_open(const struct invocation *in, struct kernel **ret,
		struct fault *ret_fault) _must_check_;
/* The same for verbs that need the kernel's types and symbols: nearly all. */
int memory_open_types(const struct invocation *in, struct kernel **ret,
		      struct fault *ret_fault) _must_check_;
/* Whether there is something to open: a verb may say more if so. */
bool memory_is_here(const struct invocation *in);
/* Why what was shown is not whole; NULL: it is. */
const char *memory_partial(const struct kernel *k);
/*
 * What verbs have in common that answer with one table: opens, has `fill` fill it, prints it with
 * what is missing, returns the exit code. `fill` returns 0 or, with the fault filled, -errno.
 */
int memory_table(struct invocation *in, const char *name, const struct column *columns, size_t n,
		 int (*fill)(struct kernel *k, struct invocation *in, struct table *table,
			     struct fault *ret_fault));
/* The task that a command's argument names; with the fault filled if there is none. */
int memory_task(struct kernel *k, const char *pid, struct task *ret,
		struct fault *ret_fault) _must_check_;
