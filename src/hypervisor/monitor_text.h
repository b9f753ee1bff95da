/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What QEMU's monitor prints for people, read: the guest's memory and its registers. No I/O. A
 * guest that has taken the emulator over may have written it: everything is checked.
 */
#pragma once

#include <stdbool.h>

#include "cpu_state.h"
#include "hypervisor.h"

#define MEMORY_NAMES_MAX 64

/* Names of the memory that is the guest's RAM ("pc.ram", "ram-node0", "dimm1"): of QMP's
 * query-memdev. */
struct memory_names {
	char names[MEMORY_NAMES_MAX][64];
	size_t n;
};
int monitor_read_memdev(const json_t *answer, struct memory_names *ret) _must_check_;

/* Of `info mtree -f`: where in the address space which memory is. `offset`: in it. Neighbours are
 * joined. From `sure` bytes of the piece on it is mapped now; before that it may be hidden: what is
 * seen below 1 MiB, RAM or firmware, changes as a guest starts, and is the guest's RAM all the
 * same, but for what was a display's window at 0xa0000. -EINVAL, -E2BIG. */
struct memory_piece {
	char name[64];
	uint64_t address, length, offset, sure;
};
int monitor_read_mtree(const char *text, const struct memory_names *names,
		       struct memory_piece ret[DOMAIN_RANGES_MAX], size_t *ret_n) _must_check_;

/* Of `gpa2hva`: whose memory, and where it is. -EINVAL: not RAM. */
int monitor_read_hva(const char *text, char ret_name[64], uint64_t *ret) _must_check_;

/* Of `info registers -a`; `ret` has room for CPUS_MAX. -EINVAL. */
int monitor_read_registers(const char *text, struct cpu_state *ret, size_t *ret_n) _must_check_;
