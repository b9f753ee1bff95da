/* SPDX-License-Identifier: Apache-2.0 */
/* The doctor's checks of tasks: deadlocks, tasks that are blocked, prompts that wait for somebody.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "doctor_checks.h"
#include "files.h"
#include "locks.h"
#include "object.h"

#define NS_PER_S ((uint64_t)1000000000)
#define BLOCKED_S 5
#define LISTED 8
#define PROMPT_FRAMES 24

static const struct lock_wait *wait_of(const struct lock_wait *waits, size_t n,
				       const struct task *t)
{
	for (size_t i = 0; t && i < n; i++) {
		if (waits[i].waiter == t) {
			return &waits[i];
		}
	}
	return NULL;
}

/* Follows owner by owner; true if that comes back to the waiter. */
static bool goes_around(const struct lock_wait *waits, size_t n, const struct lock_wait *first)
{
	const struct lock_wait *w = first;

	for (size_t steps = 0; steps <= n; steps++) {
		if (!w->owner) {
			return false;
		}
		w = wait_of(waits, n, w->owner);
		if (!w) {
			return false;
		}
		if (w == first) {
			return true;
		}
	}
	return false;
}

static void say_deadlock(struct doctor *d, const struct lock_wait *waits, size_t n,
			 const struct lock_wait *first)
{
	char text[FINDING_TEXT_MAX] = "";
	const struct lock_wait *w = first;
	size_t len = 0;

	for (size_t i = 0; i < LISTED && w && len + 1 < sizeof(text); i++) {
		char lock[SYMBOL_TEXT_MAX];

		symbols_name(d->stacks->symbols, w->lock, lock);
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"%stask %d (%s) waits for %.80s, which task %d (%s) has",
					i ? "; " : "", w->waiter->pid, w->waiter->name, lock,
					w->owner->pid, w->owner->name);
		w = wait_of(waits, n, w->owner);
		if (w == first) {
			break;
		}
	}
	doctor_found(d, FINDING_CRITICAL, "deadlock",
		     "`target locks` and `target bt PID` show more", "deadlock: %s", text);
}

/* The lowest task number of its circle tells about it, so that each one is told once. */
static bool tells(const struct lock_wait *waits, size_t n, const struct lock_wait *first)
{
	const struct lock_wait *w = first;

	do {
		if (w->waiter->pid < first->waiter->pid) {
			return false;
		}
		w = wait_of(waits, n, w->owner);
	} while (w && w != first);
	return true;
}

void doctor_check_locks(struct doctor *d)
{
	_cleanup_free_ struct lock_wait *waits = calloc(LOCK_WAITS_MAX, sizeof(*waits));
	size_t n = waits ? locks_find(d->stacks, &d->tasks, waits, LOCK_WAITS_MAX) : 0;

	for (size_t i = 0; i < n; i++) {
		const struct lock_wait *w = &waits[i];
		unsigned others = 0;
		char lock[SYMBOL_TEXT_MAX], more[64];
		bool told = false;

		if (goes_around(waits, n, w)) {
			if (tells(waits, n, w)) {
				say_deadlock(d, waits, n, w);
			}
			continue;
		}
		for (size_t j = 0; j < n; j++) {
			told |= j < i && waits[j].lock == w->lock;
			others += waits[j].lock == w->lock;
		}
		if (told || !w->owner) {
			continue;
		}
		symbols_name(d->stacks->symbols, w->lock, lock);
		snprintf(more, sizeof(more), "`target bt %d` shows what the owner does",
			 w->owner->pid);
		doctor_found(d, FINDING_WARNING, "lock", more,
			     "%u task%s wait%s for lock %.100s, first task %d (%s); task %d (%s) "
			     "has it and is %s",
			     others, others == 1 ? "" : "s", others == 1 ? "s" : "", lock,
			     w->waiter->pid, w->waiter->name, w->owner->pid, w->owner->name,
			     w->owner->on_cpu >= 0 ? "on a CPU" : task_state_name(w->owner->state));
	}
}

void doctor_check_blocked(struct doctor *d)
{
	unsigned n = 0;

	for (size_t i = 0; i < d->tasks.n; i++) {
		const struct task *t = &d->tasks.list[i];
		uint64_t ran = object_u64(d->k, "task_struct", t->address, "se.exec_start");
		uint64_t seconds = d->now_ns > ran ? (d->now_ns - ran) / NS_PER_S : 0, address;
		char where[SYMBOL_TEXT_MAX] = "?", more[64];

		if (t->state != 'D' || seconds < BLOCKED_S) {
			continue;
		}
		if (n++ >= LISTED) {
			continue;
		}
		if (stacks_waits_in(d->stacks, t, &address)) {
			symbols_text(d->stacks->symbols, address, where);
		}
		snprintf(more, sizeof(more), "`target bt %d` has its stack", t->pid);
		doctor_found(d, FINDING_WARNING, "blocked", more,
			     "task %d (%s) is blocked since %" PRIu64 " s, in %.120s", t->pid,
			     t->name, seconds, where);
	}
	if (n > LISTED) {
		doctor_found(d, FINDING_WARNING, "blocked", "`target bt --blocked` has them all",
			     "%u tasks in all are blocked", n);
	}
}

static bool reads_terminal(struct doctor *d, const struct task *t)
{
	struct unwind u;

	if (!stacks_of(d->stacks, t, PROMPT_FRAMES, &u)) {
		return false;
	}
	for (size_t i = 0; i < u.n; i++) {
		char name[SYMBOL_TEXT_MAX];

		symbols_text(d->stacks->symbols, u.frames[i].ip, name);
		if (strncmp(name, "n_tty_read+", 11) == 0) {
			return true;
		}
	}
	return false;
}

struct first_file {
	char path[PATH_TEXT_MAX];
};

static bool take_first(struct kernel *k, unsigned fd, uint64_t file, void *user)
{
	struct first_file *f = user;

	path_of_file(k, file, f->path);
	return false;
}

void doctor_check_prompts(struct doctor *d)
{
	static const struct {
		const char *name, *what;
	} known[] = {
		{ "sulogin", "the emergency shell's password" },
		{ "agetty", "a login" },
		{ "getty", "a login" },
		{ "login", "a login's password" },
		{ "systemd-tty-ask", "a pass phrase" },
		{ "systemd-ask-pas", "a pass phrase" },
		{ "askpass", "a pass phrase" },
		{ "cryptsetup", "a disk's pass phrase" },
		{ "plymouthd", "a pass phrase" },
		{ "fsck", "an answer about a damaged file system" },
		{ "e2fsck", "an answer about a damaged file system" },
		{ "fsck.ext4", "an answer about a damaged file system" },
		{ "bash", "a command, in a shell" },
		{ "sh", "a command, in a shell" },
		{ "dash", "a command, in a shell" },
		{ "busybox", "a command, in a shell" },
	};

	for (size_t i = 0; i < d->tasks.n; i++) {
		const struct task *t = &d->tasks.list[i];
		struct first_file f = { .path = "its terminal" };
		const char *what = "somebody to type";

		if (t->kernel_thread || t->state != 'S' || !reads_terminal(d, t)) {
			continue;
		}
		for (size_t j = 0; j < ARRAY_SIZE(known); j++) {
			if (strcmp(known[j].name, t->name) == 0) {
				what = known[j].what;
			}
		}
		files_each(d->k, t, take_first, &f);
		doctor_found(d, FINDING_NOTE, "prompt", "`target console` shows it",
			     "task %d (%s) waits on %.200s for %s", t->pid, t->name, f.path, what);
	}
}
