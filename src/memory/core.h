/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ELF core that a target's memory is shown as (PROTOCOL.memory §1): where in it what is, and
 * its head, which is all that is not the guest's own bytes. No I/O.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "cpu_state.h"

#define CORE_PAGE 4096
#define CORE_RANGES_MAX 64
#define CORE_VMCOREINFO_MAX 4096

/* RAM of the guest: from a physical address on; whole pages. */
struct core_range {
	uint64_t address, length;
};

struct core {
	struct core_range ranges[CORE_RANGES_MAX];
	size_t n_ranges;
	unsigned vcpus;
	uint64_t head_bytes; /* before the first range */
	uint64_t size_bytes;
};

/* -EINVAL: not pages, not ascending, too many or none. */
int core_init(struct core *core, const struct core_range *ranges, size_t n_ranges,
	      unsigned vcpus) _must_check_;
bool core_equal(const struct core *a, const struct core *b);
/* Writes core->head_bytes bytes. Of fewer than core->vcpus CPUs the rest are zeros; `vmcoreinfo` is
 * text, "" for none. */
void core_head(const struct core *core, const struct cpu_state *cpus, size_t n_cpus,
	       const char *vmcoreinfo, size_t vmcoreinfo_len, uint8_t *ret);
/* What lies at `offset` >= head_bytes: the range, how far into it, and how much of it follows.
 * -EINVAL beyond the end. */
int core_find(const struct core *core, uint64_t offset, size_t *ret_range, uint64_t *ret_into,
	      uint64_t *ret_left) _must_check_;
/* The same for a physical address; -EFAULT where there is no RAM. */
int core_find_address(const struct core *core, uint64_t address, size_t *ret_range,
		      uint64_t *ret_into, uint64_t *ret_left) _must_check_;
