/* SPDX-License-Identifier: Apache-2.0 */
/* The way of a target's live memory into this D-VM. */
#pragma once

#include "fault.h"

/* /dev/target-memory.NAME, to be freed; NULL: no memory. */
char *memory_path(const char *target);
/* Has it plugged in, where it is not, and waits until it is here. 0 or -errno with the fault. */
int memory_attach(const char *target, struct fault *ret_fault) _must_check_;
