/* SPDX-License-Identifier: Apache-2.0 */
/* Stacks that come while the D-VM runs: disks that are laid over /usr and /etc. */
#pragma once

#include <stdbool.h>

#include "config.h"

struct agent;

enum stack_state { STACK_IN_ROOT, STACK_MOUNTED, STACK_FAILED };

struct stack {
	char name[CONFIG_NAME_MAX];
	enum stack_state state;
};

struct stacks {
	struct agent *agent;
	struct stack known[CONFIG_STACKS_MAX];
	size_t n;
	unsigned generation; /* of what is laid over the directories */
};

void stacks_init(struct stacks *s, struct agent *a);
/* Lays those over that the configuration names and whose disk is there. True if there were any. */
bool stacks_scan(struct stacks *s);
/* Whether nothing is waited for any more. */
bool stacks_complete(const struct stacks *s);
/* Those that are there, one after the other; NULL after the last. */
const char *stacks_there(const struct stacks *s, size_t *it);
