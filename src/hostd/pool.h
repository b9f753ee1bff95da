/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool: D-VMs that belong to no session yet. Each is at the point where only what is its user's
 * is missing, and paused: a session that gets one need not wait for a boot.
 *
 * Theory of operation: this is the list of them and the sums about how many there are to be; what
 * is done with them is in pool_ops.c. A member is being made, or ready, or leaving: taken by a
 * session or thrown away. Nothing of it is kept over the end of dvm-hostd: whoever starts finds
 * D-VMs named "p-…" that are in no list, and removes them.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "clock.h"
#include "hypervisor.h"

#define POOL_MEMBERS_MAX 64
#define POOL_NAME_MAX 80

struct pool_settings {
	char image[POOL_NAME_MAX + 1]; /* name or id */
	unsigned memory_mib, vcpus;    /* of each */
	unsigned min, max;	       /* of members; max 0: no pool */
	unsigned budget_mib;	       /* of memory, for all */
	usec_t refill;		       /* from one that was made to the next */
};

/* What the number depends on. */
struct pool_load {
	unsigned recent;	      /* sessions that wanted one lately */
	unsigned ready;		      /* members there are */
	uint64_t free_mib, total_mib; /* the host's memory */
	double stalled;		      /* % of the last 10 s that something waited for memory */
};

/* How many there are to be. Pure. */
unsigned pool_want(const struct pool_settings *settings, const struct pool_load *load);

struct pool;
/* May be used by any number of threads at once. */
int pool_new(struct pool **ret) _must_check_;
struct pool *pool_free(struct pool *p);

void pool_set(struct pool *p, const struct pool_settings *settings);
void pool_get(struct pool *p, struct pool_settings *ret);
bool pool_is_on(struct pool *p);

/* One that is being made. -ENOSPC, -ENOMEM, -ECANCELED after pool_close(). */
int pool_add(struct pool *p, const char *id, uid_t uid) _must_check_;
/* It is ready for a session whose D-VM is of that shape. -ECANCELED: it is to go. */
int pool_ready(struct pool *p, const char *id, const char *shape) _must_check_;
/* The oldest that is ready, which is leaving then, until pool_drop(). Counts as wanted in any case.
 * False when there is none. */
bool pool_take(struct pool *p, const char *shape, char ret_id[DVM_SESSION_MAX + 1], uid_t *ret_uid);
/* Its D-VM has ended: one for pool_surplus(). False if it was not ready. */
bool pool_lost(struct pool *p, const char *id);
/* One that is lost, too many, or of another shape than `shape` (NULL: all are); leaving then. */
bool pool_surplus(struct pool *p, const char *shape, unsigned want,
		  char ret_id[DVM_SESSION_MAX + 1]);
/* It is gone, or another's now. False if it was not here. */
bool pool_drop(struct pool *p, const char *id);

bool pool_has(struct pool *p, const char *id);
bool pool_has_uid(struct pool *p, uid_t uid);
unsigned pool_n_ready(struct pool *p);
/* How many were wanted in the last minutes. */
unsigned pool_recent(struct pool *p);
/* How long until one more may be made. */
usec_t pool_pause(struct pool *p);
/* No more come in. */
void pool_close(struct pool *p);

/* "p-…" */
bool pool_id_valid(const char *s);
