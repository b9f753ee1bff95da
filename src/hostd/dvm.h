/* SPDX-License-Identifier: Apache-2.0 */
/* The D-VM of a session.json. For workers. */
#pragma once

#include <jansson.h>

#include "hostd.h"
#include "op.h"

/* Image, stacks, memory_mib and vcpus out of the parameters, checked, as a new session.json. The
 * image is its id then. */
int dvm_params(struct op *op, json_t **ret) _must_check_;

/* The D-VM runs afterwards; notes in `state` and its file that it was made, and from what.
 * FAULT_DVM_LOST when it was there once and is not any more; FAULT_NO_CAPACITY,
 * FAULT_IMAGE_MISSING, FAULT_IMAGE_DAMAGED, FAULT_STACK_MISSING. */
int dvm_need(struct hostd *h, const char *session, json_t *state, struct fault *fault) _must_check_;
/* The session's D-VM did not get ready: if it was started from a memory image, that one goes. In
 * the loop's thread. */
void dvm_suspect_start(struct hostd *h, const char *session);
/* Removes what an earlier dvm-hostd left of memory images that it was making. In the loop's thread.
 */
void dvm_tidy_start(struct hostd *h);
