/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's event loop: epoll, a few timers, nothing else. One thread. */
#pragma once

#include <stdbool.h>

#include "list.h"
#include "macro.h"

struct loop;

/* An fd that is watched. `ready` may close the fd through source_close() but must not free its own
 * object: objects are freed in the loop's `prepare`. */
struct source {
	int fd; /* -1: none */
	void (*ready)(struct source *s, uint32_t events);
	struct loop *loop;
	uint32_t events; /* what epoll watches now */
	bool watched;
};

struct timer {
	struct list list; /* in loop->timers while armed */
	usec_t at;
	void (*fire)(struct timer *t);
};

struct loop {
	int epoll_fd;
	struct list timers;
	bool again; /* somebody has work left: do not sleep */
	bool stop;
	int result;
	/* Runs before every wait: asks every object what to poll for, and frees what is dead. */
	void (*prepare)(struct loop *l);
};

int loop_init(struct loop *l, void (*prepare)(struct loop *l)) _must_check_;
void loop_fini(struct loop *l);
/* Runs until loop_stop(); returns its result, or -errno. */
int loop_run(struct loop *l);
void loop_stop(struct loop *l, int result);

/* Takes `fd`. Nothing is watched until source_watch(). */
void source_init_take(struct source *s, struct loop *l, int fd,
		      void (*ready)(struct source *, uint32_t));
/* Watches for `events` (EPOLLIN …), 0 for none at all; cheap when nothing changed. */
void source_watch(struct source *s, uint32_t events);
void source_close(struct source *s);

void timer_init(struct timer *t, void (*fire)(struct timer *));
void timer_arm(struct loop *l, struct timer *t, usec_t in);
void timer_cancel(struct timer *t);
