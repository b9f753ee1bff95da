/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel's loaded modules, and symbols of theirs. */
#pragma once

#include "kernel.h"

#define MODULES_MAX 4096
#define MODULE_AREAS_MAX 16

enum module_state { MODULE_LIVE, MODULE_COMING, MODULE_GOING, MODULE_UNFORMED };

struct module_area {
	uint64_t base, size;
};

struct module_symbols; /* what kallsyms has of it */

struct module {
	uint64_t address; /* of the kernel's struct module */
	char name[64];
	enum module_state state;
	uint64_t size_bytes; /* as lsmod(8) has it */
	int64_t users;	     /* -1: unknown */
	uint64_t taints;     /* bits as in /proc/sys/kernel/tainted */
	struct module_area areas[MODULE_AREAS_MAX];
	size_t n_areas;
	struct module_symbols *symbols; /* NULL: not read yet */
};

struct modules {
	struct module *list;
	size_t n;
};

/* Reads the list, the newest first, as the kernel has it. -ENOMEM. */
int modules_load(struct kernel *k, struct modules *m) _must_check_;
void modules_fini(struct modules *m);
/* The module that has `address` in its code or data; NULL: none. */
struct module *modules_at(const struct modules *m, uint64_t address);
/* As kallsyms_at() and kallsyms_find(). */
bool module_symbol_at(struct kernel *k, struct module *m, uint64_t address,
		      char name[KALLSYMS_NAME_MAX], uint64_t *ret_start, uint64_t *ret_size);
bool module_symbol_find(struct kernel *k, struct module *m, const char *name,
			uint64_t *ret_address);
/* Calls `each` for each module that uses `m`. */
void module_users(struct kernel *k, const struct module *m,
		  void (*each)(const char *name, void *user), void *user);
