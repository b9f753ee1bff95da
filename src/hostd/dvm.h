/* SPDX-License-Identifier: Apache-2.0 */
/* The D-VM of a session.json. For workers. */
#pragma once

#include <jansson.h>

#include "hostd.h"
#include "op.h"

/* The D-VM runs afterwards; notes in `state` and its file that it was made, and from what.
 * FAULT_DVM_LOST when it was there once and is not any more; FAULT_NO_CAPACITY,
 * FAULT_IMAGE_MISSING, FAULT_IMAGE_DAMAGED, FAULT_STACK_MISSING. */
int dvm_need(struct hostd *h, const char *session, json_t *state, struct fault *fault) _must_check_;
/* Notes the image in `state`. 0, or -errno where it has to boot; -EREMOTEIO with `fault` where it
 * cannot do that now either. */
int dvm_create_from_memory(struct hostd *h, const char *session, struct dvm_spec *spec,
			   json_t *state, struct fault *fault) _must_check_;
/* The session's D-VM did not get ready: if it was started from a memory image, that one goes. In
 * the loop's thread. */
void dvm_suspect_start(struct hostd *h, const char *session);
/* Removes what an earlier dvm-hostd left of memory images that it was making, and of its pool. In
 * the loop's thread. */
void dvm_tidy_start(struct hostd *h);
