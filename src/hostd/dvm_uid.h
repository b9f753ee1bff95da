/* SPDX-License-Identifier: Apache-2.0 */
/* Users of emulators: no two D-VMs of a host have the same one. For workers. */
#pragma once

#include "hostd.h"

/* From the choice until it stands in a session.json or in the pool, others wait. */
void dvm_uid_lock(void);
void dvm_uid_unlock(void);
/* A user that no other D-VM of this host has; 0 where we are not root. `name`: a session's id, or
 * what stands for it. */
uid_t dvm_uid_choose(const struct hostd *h, const char *name);
