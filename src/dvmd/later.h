/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that are known at once but may only be given from the loop. */
#pragma once

#include "fault.h"
#include "vm_ops.h"

/* Calls fn(NULL, fault, user) from the loop; `fault` is copied. Out of memory, it calls at once. */
void later_fault(sd_event *event, const struct fault *fault, ops_reply_fn fn, void *user);
/* Calls fn at once with a result that is let go afterwards; NULL (out of memory) is a fault. */
void now_result(json_t *result, ops_reply_fn fn, void *user);
