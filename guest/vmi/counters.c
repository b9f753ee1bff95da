/* SPDX-License-Identifier: Apache-2.0 */
/* Counters that a kernel keeps in parts. */
#include "counters.h"

#include "object.h"

int64_t counter_sum(struct kernel *k, uint64_t counter)
{
	uint64_t sum = object_u64(k, "percpu_counter", counter, "count");
	uint64_t parts = counter ? object_u64(k, "percpu_counter", counter, "counters") : 0;

	for (unsigned cpu = 0; parts && cpu < kernel_cpu_count(k); cpu++) {
		if (kernel_cpu_online(k, cpu)) {
			sum += (uint64_t)(int64_t)(int32_t)kernel_u32(
				k, kernel_per_cpu(k, parts, cpu));
		}
	}
	return (int64_t)sum;
}
