/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A named pool of threads for libraries that block. A job runs in a worker; its `done` runs in the
 * loop's thread. Nothing else is shared. Jobs with the same `key` (may be NULL) run one after the
 * other, in order.
 */
#pragma once

#include <systemd/sd-event.h>

#include "macro.h"

struct worker_pool;

typedef void (*worker_fn)(void *job);

int worker_pool_new(sd_event *event, const char *name, unsigned threads,
		    struct worker_pool **ret) _must_check_;
/* Waits for running jobs; jobs not begun get `done` without `run`. */
struct worker_pool *worker_pool_free(struct worker_pool *w);
/* At most 1024 jobs wait, and 64 for one key, so that one that hangs leaves room for others:
 * -EAGAIN beyond. */
int worker_submit(struct worker_pool *w, const char *key, worker_fn run, worker_fn done,
		  void *job) _must_check_;
/* From any thread: runs `fn(arg)` in the loop's thread. */
int worker_post(struct worker_pool *w, worker_fn fn, void *arg) _must_check_;
