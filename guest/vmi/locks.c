/* SPDX-License-Identifier: Apache-2.0 */
/* Who waits for which lock, and who has it. */
#include "locks.h"

#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "le.h"
#include "object.h"

#define STACK_BYTES_MAX 32768
#define WAITERS_MAX 4096
#define WAIT_FRAMES 12
#define OWNER_FLAGS ((uint64_t)7)
#define RWSEM_READER ((uint64_t)1) /* RWSEM_READER_OWNED */
#define RWSEM_WAITS_TO_WRITE 0	   /* RWSEM_WAITING_FOR_WRITE */

struct stack {
	uint64_t start, end; /* of the whole, and below `sp` nothing is in use */
	uint64_t sp;
};

static bool stack_of(struct kernel *k, const struct task *t, uint64_t thread_bytes, struct stack *s)
{
	s->start = object_u64(k, "task_struct", t->address, "stack");
	s->end = s->start + thread_bytes;
	s->sp = object_u64(k, "task_struct", t->address, "thread.sp");
	return s->start && s->sp >= s->start && s->sp < s->end;
}

/* Follows the list that `node` is in until a head that `is_lock` takes for one. */
static uint64_t find_lock(struct kernel *k, uint64_t node, const struct stack *stack,
			  bool (*is_lock)(struct kernel *k, uint64_t head, uint64_t *ret_lock))
{
	uint64_t at = node, lock;

	for (int i = 0; i < WAITERS_MAX; i++) {
		uint64_t next = 0, back = 0;
		uint8_t bytes[16];

		if (at & 7 || kernel_read(k, at, bytes, sizeof(bytes)) < 0) {
			return 0;
		}
		next = le_u64(bytes);
		/* a list is one only if the neighbour points back */
		if (next & 7 || kernel_read(k, next, bytes, sizeof(bytes)) < 0) {
			return 0;
		}
		back = le_u64(bytes + 8);
		if (back != at || next == node) {
			return 0;
		}
		if ((next < stack->start || next >= stack->end) && is_lock(k, next, &lock)) {
			return lock;
		}
		at = next;
	}
	return 0;
}

static bool owner_is_task(struct kernel *k, uint64_t owner)
{
	uint64_t task = owner & ~OWNER_FLAGS;

	/* a task_struct's stack begins where it says, and there stands the end mark */
	return task == 0 ||
	       (object_u64(k, "task_struct", task, "stack") != 0 &&
		kernel_u32(k, object_u64(k, "task_struct", task, "stack")) == 0x57AC6E9Du);
}

static bool is_mutex(struct kernel *k, uint64_t head, uint64_t *ret_lock)
{
	uint64_t lock = head - object_offset(k, "mutex", "wait_list");
	uint64_t owner = object_u64(k, "mutex", lock, "owner");

	*ret_lock = lock;
	return owner != 0 && owner_is_task(k, owner);
}

static bool is_rwsem(struct kernel *k, uint64_t head, uint64_t *ret_lock)
{
	uint64_t lock = head - object_offset(k, "rw_semaphore", "wait_list");
	uint64_t owner = object_u64(k, "rw_semaphore", lock, "owner");

	*ret_lock = lock;
	return object_u64(k, "rw_semaphore", lock, "count") != 0 && owner_is_task(k, owner);
}

struct waiter_kind {
	const char *type;
	enum lock_kind kind;
	bool (*is_lock)(struct kernel *k, uint64_t head, uint64_t *ret_lock);
};

static const struct waiter_kind kinds[] = {
	{ "mutex_waiter", LOCK_MUTEX, is_mutex },
	{ "rwsem_waiter", LOCK_RWSEM, is_rwsem },
};

/* A word on the stack that is the task itself may be the waiter's. */
static bool try_waiter(struct kernel *k, const struct waiter_kind *kind, const struct stack *s,
		       uint64_t word_at, struct lock_wait *w)
{
	uint64_t waiter = word_at - object_offset(k, kind->type, "task");
	uint64_t node = waiter + object_offset(k, kind->type, "list");

	unsigned marks = kernel_marks(k);

	if (waiter < s->sp || node + 16 > s->end) {
		return false;
	}
	w->lock = find_lock(k, node, s, kind->is_lock);
	kernel_unmark(k, marks); /* most words are no waiter's */
	if (w->lock && kind->kind == LOCK_RWSEM) {
		w->to_write = object_u64(k, kind->type, waiter, "type") == RWSEM_WAITS_TO_WRITE;
	}
	return w->lock != 0;
}

static void find_owner(struct kernel *k, const struct tasks *tasks, struct lock_wait *w)
{
	static const char *const types[] = { "mutex", "rw_semaphore", "rt_mutex_base" };
	const char *type = types[w->kind];
	uint64_t owner;

	if (w->kind == LOCK_RT_MUTEX && !object_has(k, type, "owner")) {
		type = "rt_mutex"; /* before 5.15 */
	}
	owner = object_u64(k, type, w->lock, "owner");

	w->owner = tasks_at(tasks, owner & ~OWNER_FLAGS);
	w->owner_reads = w->kind == LOCK_RWSEM && owner & RWSEM_READER;
}

/* Realtime kernels' mutexes, and those that hand priority on: the task itself says what it waits
 * for. */
static bool try_rt_mutex(struct kernel *k, const struct task *t, struct lock_wait *w)
{
	uint64_t waiter;

	if (!object_has(k, "task_struct", "pi_blocked_on") ||
	    !object_has(k, "rt_mutex_waiter", "lock")) {
		return false;
	}
	waiter = object_u64(k, "task_struct", t->address, "pi_blocked_on");
	w->lock = waiter ? object_u64(k, "rt_mutex_waiter", waiter, "lock") : 0;
	w->kind = LOCK_RT_MUTEX;
	w->waiter = t;
	return w->lock != 0;
}

static bool search_stack(struct kernel *k, const struct task *t, uint64_t thread_bytes,
			 uint8_t *bytes, struct lock_wait *w)
{
	struct stack s;
	size_t len;

	if (!stack_of(k, t, thread_bytes, &s)) {
		return false;
	}
	len = (size_t)(s.end - s.sp);
	if (kernel_read(k, s.sp, bytes, len) < 0) {
		kernel_mark(k, "the stack of task %d cannot be read", t->pid);
		return false;
	}
	for (size_t at = 0; at + 8 <= len; at += 8) {
		if (le_u64(bytes + at) != t->address) {
			continue;
		}
		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
			if (kinds[i].kind == w->kind && object_has(k, kinds[i].type, "task") &&
			    try_waiter(k, &kinds[i], &s, s.sp + at, w)) {
				w->waiter = t;
				return true;
			}
		}
	}
	return false;
}

/* By its frames: *ret is the kind of lock it waits for. */
static bool waits_for_lock(struct stacks *s, const struct task *t, enum lock_kind *ret)
{
	struct unwind u;

	if (!stacks_of(s, t, WAIT_FRAMES, &u)) {
		return false;
	}
	for (size_t i = 0; i < u.n; i++) {
		char name[SYMBOL_TEXT_MAX];

		symbols_text(s->symbols, u.frames[i].ip, name);
		if (strncmp(name, "rwsem_down_", 11) == 0 || strncmp(name, "down_read", 9) == 0 ||
		    strncmp(name, "down_write", 10) == 0 || strncmp(name, "__down_read", 11) == 0 ||
		    strncmp(name, "__down_write", 12) == 0) {
			*ret = LOCK_RWSEM;
			return true;
		}
		if (strncmp(name, "__mutex_lock", 12) == 0 ||
		    strncmp(name, "mutex_lock", 10) == 0 ||
		    strncmp(name, "__ww_mutex_lock", 15) == 0) {
			*ret = LOCK_MUTEX;
			return true;
		}
	}
	return false;
}

size_t locks_find(struct stacks *stacks, const struct tasks *tasks, struct lock_wait *ret,
		  size_t max)
{
	struct kernel *k = stacks->k;
	_cleanup_free_ uint8_t *bytes = malloc(STACK_BYTES_MAX);
	uint64_t thread_bytes = object_size(k, "union thread_union", "stack");
	size_t n = 0;

	if (thread_bytes == 0) { /* 16 KiB on every x86-64 kernel without KASAN */
		thread_bytes = 16384;
	}
	if (!bytes || thread_bytes > STACK_BYTES_MAX) {
		return 0;
	}
	for (size_t i = 0; i < tasks->n && n < max; i++) {
		const struct task *t = &tasks->list[i];
		struct lock_wait w = { 0 };

		/* killable and interruptible waits sleep otherwise than blocked ones do */
		if (t->on_cpu >= 0 || t->state == 'R' || t->state == 'Z' || t->state == 'X' ||
		    t->state == 'I') {
			continue;
		}
		if (try_rt_mutex(k, t, &w) || (waits_for_lock(stacks, t, &w.kind) &&
					       search_stack(k, t, thread_bytes, bytes, &w))) {
			find_owner(k, tasks, &w);
			ret[n++] = w;
		}
	}
	return n;
}
