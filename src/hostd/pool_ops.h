/* SPDX-License-Identifier: Apache-2.0 */
/* What is done with the D-VMs of the pool: made, given to sessions, thrown away. */
#pragma once

#include "dvm_plan.h"
#include "pool.h"

/*
 * Gives the session one that waits, with all that `plan` wants; it runs then. Notes it in `state`
 * and its file. -ENOENT where none waits, -EBADMSG where what went wrong is over and done with (the
 * caller starts a D-VM), -EREMOTEIO with `fault` where it cannot do that now either. In a worker.
 */
int pool_hand_over(struct hostd *h, const char *session, const struct dvm_plan *plan, json_t *state,
		   struct fault *fault) _must_check_;
/* What is left of a session's D-VM that came from here, under the name that it had before: after
 * the D-VM itself. Fine when there is nothing. In a worker. */
int pool_member_remove(struct hostd *h, const char *id, struct fault *fault) _must_check_;

/* Something changed that the pool depends on: it is looked after. In the loop's thread. */
void pool_tend_start(struct hostd *h);
/* All go. In the loop's thread, before h->stopping is set. */
void pool_drain_start(struct hostd *h);
void pool_timer_stop(struct hostd *h);
