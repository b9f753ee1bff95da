/* SPDX-License-Identifier: Apache-2.0 */
/* The target's memory, as the verbs that look into it get it. */
#include "memory.h"

#include <stdio.h>
#include <unistd.h>

#include "attach_memory.h"
#include "cleanup.h"
#include "client.h"
#include "parse.h"

#define DEVICE "/dev/target-memory"

static bool device_path(const struct invocation *in, char *out, size_t size)
{
	if (in->core) {
		snprintf(out, size, "%s", in->core);
		return true;
	}
	if (in->name) {
		snprintf(out, size, "%s.%s", DEVICE, in->name);
		if (access(out, F_OK) == 0) {
			return true;
		}
	}
	snprintf(out, size, "%s", DEVICE);
	return access(out, F_OK) == 0;
}

bool memory_is_here(const struct invocation *in)
{
	char path[4096];

	return device_path(in, path, sizeof(path));
}

int memory_open(const struct invocation *in, struct kernel **ret, struct fault *ret_fault)
{
	char path[4096], name[NAME_BYTES];
	bool here = device_path(in, path, sizeof(path));
	int r;

	/* a device without a name is the first target's: that one must be meant */
	if (!in->core && (!here || (in->name && path[sizeof(DEVICE) - 1] == '\0'))) {
		_cleanup_free_ char *own = NULL;

		r = client_target(in->name, name, ret_fault);
		if (r == 0) {
			r = memory_attach(name, ret_fault);
		}
		if (r < 0) {
			return r;
		}
		own = memory_path(name);
		snprintf(path, sizeof(path), "%s", own ? own : DEVICE);
	}
	return kernel_open(path, ret, ret_fault);
}

int memory_open_types(const struct invocation *in, struct kernel **ret, struct fault *ret_fault)
{
	struct kernel *k;
	int r = memory_open(in, &k, ret_fault);

	if (r < 0) {
		return r;
	}
	r = kernel_need_types(k, ret_fault);
	if (r < 0) {
		kernel_free(k);
		return r;
	}
	*ret = k;
	return 0;
}

const char *memory_partial(const struct kernel *k)
{
	return kernel_marks(k) ? kernel_first_mark(k) : NULL;
}

int memory_table(struct invocation *in, const char *name, const struct column *columns, size_t n,
		 int (*fill)(struct kernel *k, struct invocation *in, struct table *table,
			     struct fault *ret_fault))
{
	struct fault fault = { 0 };
	struct table *table;
	struct kernel *k;
	int r;

	if (memory_open_types(in, &k, &fault) < 0) {
		return complain(&fault);
	}
	table = table_new(name, columns, n);
	r = fill(k, in, table, &fault);
	if (r == 0) {
		table_print(table, in->json, memory_partial(k));
	}
	table_free(table);
	kernel_free(k);
	return r < 0 ? complain(&fault) : 0;
}

int memory_task(struct kernel *k, const char *pid, struct task *ret, struct fault *ret_fault)
{
	struct tasks tasks;
	const struct task *t;
	uint32_t number;

	if (parse_u32(pid, &number) < 0 || number > INT32_MAX) {
		return fault_set(ret_fault, FAULT_BAD_VALUE, "%.40s is no process number", pid);
	}
	if (tasks_load(k, true, &tasks) < 0) {
		return fault_set(ret_fault, FAULT_INTERNAL, "no memory");
	}
	t = tasks_find(&tasks, (int32_t)number);
	if (t) {
		*ret = *t;
	}
	tasks_fini(&tasks);
	return t ? 0 : fault_set(ret_fault, FAULT_NOT_FOUND, "the target has no task %u", number);
}
