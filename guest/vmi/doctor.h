/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks at all of a kernel and says in plain words what is wrong with its machine.
 *
 * Each check is on its own; one that this kernel lacks the data for finds nothing.
 */
#pragma once

#include "stacks.h"

enum finding_severity { FINDING_CRITICAL, FINDING_WARNING, FINDING_NOTE };

#define FINDING_TEXT_MAX 480

struct finding {
	enum finding_severity severity;
	const char *kind; /* "panic", "deadlock" …: for programs */
	char text[FINDING_TEXT_MAX];
	char more[FINDING_TEXT_MAX]; /* where to look next, or details; "" if none */
};

struct doctor {
	struct kernel *k;
	struct stacks *stacks;
	struct tasks tasks; /* threads too */
	uint64_t *clocks;   /* of each CPU's run queue, in ns since boot; 0: unknown */
	unsigned n_cpus;
	uint64_t now_ns; /* the latest of them */
	void (*found)(const struct finding *f, void *user);
	void *user;
};

/*
 * Runs all checks. Of a live machine (core_is_live) some look twice, a second apart. -ENOMEM.
 */
int doctor_run(struct kernel *k, struct stacks *stacks,
	       void (*found)(const struct finding *f, void *user), void *user) _must_check_;
