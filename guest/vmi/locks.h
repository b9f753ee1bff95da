/* SPDX-License-Identifier: Apache-2.0 */
/* Who waits for which lock, and who has it. */
#pragma once

#include "stacks.h"

#define LOCK_WAITS_MAX 10000

enum lock_kind { LOCK_MUTEX, LOCK_RWSEM, LOCK_RT_MUTEX };

struct lock_wait {
	const struct task *waiter, *owner; /* owner NULL: nobody known */
	enum lock_kind kind;
	bool to_write;	  /* rwsem */
	bool owner_reads; /* rwsem: `owner` is one of its readers, maybe not the last one */
	uint64_t lock;
};

/*
 * Finds what blocked tasks wait for. A task that waits has a waiter struct on its stack, which is
 * in the lock's list and names the task: the stack is searched for it, and the list leads to the
 * lock. Returns how many there are in `ret`.
 */
size_t locks_find(struct stacks *s, const struct tasks *tasks, struct lock_wait *ret, size_t max);
