/* SPDX-License-Identifier: Apache-2.0 */
/* Names of rights. */
#include "rights.h"

#include <string.h>

/* By bit number. */
static const char *const names[] = {
	"view", "type", "debug", "memory", "disk-read", "disk-write", "power", "admin",
};
static_assert(ARRAY_SIZE(names) == RIGHTS_COUNT, "a name for each right");
static_assert(RIGHTS_ALL == (1u << RIGHTS_COUNT) - 1, "a bit for each right");

const char *right_name(enum right r)
{
	for (unsigned i = 0; i < RIGHTS_COUNT; i++) {
		if ((unsigned)r == 1u << i) {
			return names[i];
		}
	}
	return "unknown";
}

json_t *rights_to_json(unsigned rights)
{
	json_t *array = json_array();

	for (unsigned i = 0; array && i < RIGHTS_COUNT; i++) {
		if ((rights & 1u << i) && json_array_append_new(array, json_string(names[i])) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

int rights_from_json(const json_t *list, unsigned *ret, struct fault *fault)
{
	unsigned rights = 0;
	const json_t *item;
	size_t i;

	if (!json_is_array(list)) {
		return fault_set(fault, FAULT_BAD_VALUE, "rights must be a list of names");
	}
	json_array_foreach(list, i, item)
	{
		const char *name = json_string_value(item);
		unsigned bit = 0;

		while (bit < RIGHTS_COUNT && (!name || strcmp(name, names[bit]) != 0)) {
			bit++;
		}
		if (bit == RIGHTS_COUNT) {
			return fault_set(fault, FAULT_BAD_VALUE, "There is no right \"%.32s\"",
					 name ?: "");
		}
		rights |= 1u << bit;
	}
	*ret = rights;
	return 0;
}
