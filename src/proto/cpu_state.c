/* SPDX-License-Identifier: Apache-2.0 */
/* The registers of one vCPU as JSON. */
#include "cpu_state.h"

#include <errno.h>
#include <string.h>

json_t *cpu_state_to_json(const struct cpu_state *cpu)
{
	uint64_t numbers[CPU_NUMBERS];
	json_t *array = json_array();

	memcpy(numbers, cpu, sizeof(numbers));
	for (size_t i = 0; array && i < CPU_NUMBERS; i++) {
		if (json_array_append_new(array, json_integer((json_int_t)numbers[i])) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

int cpu_state_of_json(const json_t *json, struct cpu_state *ret)
{
	uint64_t numbers[CPU_NUMBERS];

	if (json_array_size(json) != CPU_NUMBERS) {
		return -EINVAL;
	}
	for (size_t i = 0; i < CPU_NUMBERS; i++) {
		const json_t *number = json_array_get(json, i);

		if (!json_is_integer(number)) {
			return -EINVAL;
		}
		numbers[i] = (uint64_t)json_integer_value(number);
	}
	memcpy(ret, numbers, sizeof(numbers));
	return 0;
}
