/* SPDX-License-Identifier: Apache-2.0 */
/* The clock of the loads. */
#pragma once

#include <stdint.h>
#include <time.h>

static inline uint64_t now_nsec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}
