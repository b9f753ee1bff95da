/* SPDX-License-Identifier: Apache-2.0 */
/* Names of rights. */
#include "rights.h"

const char *const right_names[] = {
	"view", "type", "debug", "memory", "disk-read", "disk-write", "power", "admin", NULL,
};
static_assert(ARRAY_SIZE(right_names) == RIGHTS_COUNT + 1, "a name for each right");
static_assert(RIGHTS_ALL == (1u << RIGHTS_COUNT) - 1, "a bit for each right");

const char *right_name(enum right r)
{
	for (unsigned i = 0; i < RIGHTS_COUNT; i++) {
		if ((unsigned)r == 1u << i) {
			return right_names[i];
		}
	}
	return "unknown";
}

json_t *rights_to_json(unsigned rights)
{
	json_t *array = json_array();

	for (unsigned i = 0; array && i < RIGHTS_COUNT; i++) {
		if ((rights & 1u << i) &&
		    json_array_append_new(array, json_string(right_names[i])) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}
