/* SPDX-License-Identifier: Apache-2.0 */
/* One store to a shared mapping that others may believe, with all that was stored before it. */
#pragma once

#include <stdatomic.h>

#include "macro.h"

/* Against whoever maps the file after this process was killed the order of the compiler's stores is
 * what counts; against one that looks while it lives, the release does. */
static inline void publish_u64(uint64_t *field, uint64_t value)
{
	atomic_signal_fence(memory_order_seq_cst);
	__atomic_store_n(field, value, __ATOMIC_RELEASE);
	atomic_signal_fence(memory_order_seq_cst);
}
