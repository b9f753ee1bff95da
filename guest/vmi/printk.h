/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Linux kernel's log out of its memory: the ring of 5.10 and later, and the one before it. All
 * that is needed to read it VMCOREINFO says, so it works where symbols and types do not. Pure but
 * for the reads that the caller makes; the ring is not trusted.
 */
#pragma once

#include "vmcoreinfo.h"

#define PRINTK_TEXT_MAX 8192
#define PRINTK_RECORDS_MAX 4194304

struct printk_memory {
	int (*read)(void *user, uint64_t address, void *p, size_t len);
	void *user;
};

struct printk_record {
	uint64_t sequence, time_ns;
	unsigned level, facility; /* as in syslog(3): level 0 is "emergency" */
	bool by_cpu;		  /* `caller` is a CPU's number, not a task's */
	uint32_t caller;  /* 0 if unknown: CONFIG_PRINTK_CALLER is off or the ring has none */
	const char *text; /* printable, may have several lines */
};

struct printk_result {
	uint64_t next; /* the sequence of the record that will come next */
	uint64_t lost; /* records from the wanted one on that are gone */
	uint64_t damaged;
};

/*
 * Calls `each` for every record whose sequence is at least `from`, in order. -ENOENT if VMCOREINFO
 * does not say where the log is, -EFAULT or another error if it cannot be read at all.
 */
int printk_each(const struct vmcoreinfo *v, const struct printk_memory *memory, uint64_t from,
		void (*each)(const struct printk_record *record, void *user), void *user,
		struct printk_result *ret) _must_check_;
