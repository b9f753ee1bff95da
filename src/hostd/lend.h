/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A target's disk, lent to a D-VM: made accessible to the D-VM's own user, and given back as it
 * was.
 *
 * libvirt is told to leave the owners of a D-VM's files alone (its images are shared), so it is
 * done here. Where we are not root all processes have one user, and there is nothing to do.
 */
#pragma once

#include <jansson.h>
#include <sys/types.h>

#include "hypervisor.h"

/* What must change hands: [{"path", "uid", "gid"}] with the owners of now, to be kept until
 * lend_return(). Files that anybody may read are left out where reading is enough. */
int lend_plan(const struct domain_disk *disk, bool readonly, json_t **ret,
	      struct fault *fault) _must_check_;
int lend_give(const json_t *plan, uid_t uid, struct fault *fault) _must_check_;
/* Gives back what `uid` or root owns; what has another owner meanwhile, or is gone, is left alone.
 */
void lend_return(const json_t *plan, uid_t uid);
