/* SPDX-License-Identifier: Apache-2.0 */
/* Counters that a kernel keeps in parts, one for each CPU. */
#pragma once

#include "kernel.h"

/* The sum of a struct percpu_counter. */
int64_t counter_sum(struct kernel *k, uint64_t counter);
