/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's random pool. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "macro.h"

#define ENTROPY_BYTES_MAX 64

/* Mixes bytes in that count as random, and has everything drawn from now on depend on them.
 * 1 to ENTROPY_BYTES_MAX. Negative errno. */
int entropy_add(const uint8_t *bytes, size_t n) _must_check_;
/* The same with what the processor gives, which no two machines share. -ENODEV if it gives
 * nothing. */
int entropy_add_cpu(void) _must_check_;
