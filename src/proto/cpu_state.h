/* SPDX-License-Identifier: Apache-2.0 */
/* The registers of one vCPU, x86-64, as PROTOCOL.memory carries them. */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "macro.h"

#define CPUS_MAX 288

enum cpu_segment_name {
	CPU_CS,
	CPU_DS,
	CPU_ES,
	CPU_FS,
	CPU_GS,
	CPU_SS,
	CPU_LDT,
	CPU_TR,
	CPU_GDT,
	CPU_IDT,
	CPU_SEGMENTS,
};

struct cpu_segment {
	uint64_t selector, limit, flags, base;
};

struct cpu_state {
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp;
	uint64_t r[8]; /* r8 to r15 */
	uint64_t rip, rflags;
	struct cpu_segment segments[CPU_SEGMENTS];
	uint64_t cr[5]; /* cr[1] is 0 */
};
#define CPU_NUMBERS 63
static_assert(sizeof(struct cpu_state) == CPU_NUMBERS * sizeof(uint64_t), "numbers and no more");

/* An array of CPU_NUMBERS integers; NULL: out of memory. */
json_t *cpu_state_to_json(const struct cpu_state *cpu);
/* -EINVAL. */
int cpu_state_of_json(const json_t *json, struct cpu_state *ret) _must_check_;
