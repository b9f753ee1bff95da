/* SPDX-License-Identifier: Apache-2.0 */
/* Stacks that come while the D-VM runs: disks that are laid over /usr and /etc. */
#pragma once

#include <stdbool.h>

#include "config.h"

struct agent;

struct stack {
	char name[CONFIG_NAME_MAX];
	bool mounted; /* by us; else init did, or it cannot be */
};

struct stacks {
	struct agent *agent;
	struct stack known[CONFIG_STACKS_MAX];
	size_t n;
	unsigned generation; /* of what is laid over the directories */
};

void stacks_init(struct stacks *s, struct agent *a);
/* Lays those over that the configuration names and whose disk is there. */
void stacks_scan(struct stacks *s);
/* Whether nothing is waited for any more. */
bool stacks_complete(const struct stacks *s);
