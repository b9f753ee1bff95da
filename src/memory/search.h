/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the VMCOREINFO of a Linux guest in its memory, without help of the guest.
 *
 * Theory of operation: the text stands in a page of its own, anywhere in RAM; a variable of the
 * kernel's data, whose address nobody tells, points to it. A CPU's interrupt table leads to a
 * handler, which is in the kernel's text; its page tables, from there through the whole of the
 * kernel's image. Every word of the image that could be a pointer to a page is followed; the one
 * that leads to a page that begins with "OSRELEASE=" is it. So some tens of MiB are looked at,
 * however large the guest is. As long as the same variable leads to such a page, by the
 * tables that the CPUs have now, that is all that is looked at.
 *
 * What is read is hostile: it decides nothing but which pages of the guest's own RAM are read.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "core.h"

/* Reads `len` bytes of guest RAM at a physical address, all or nothing: 0, -EFAULT. */
typedef int guest_read_fn(void *user, uint64_t address, void *buf, size_t len);

struct vmcoreinfo {
	bool found;
	uint64_t variable; /* virtual address of what points to it */
	size_t len;
	char text[CORE_VMCOREINFO_MAX];
};

/* Whether io->text is the guest's now. False also for a guest that has none yet. */
bool vmcoreinfo_find(guest_read_fn *read, void *user, const struct cpu_state *cpus, size_t n_cpus,
		     struct vmcoreinfo *io);