/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/images */
#include <string.h>

#include "api_handlers.h"
#include "session_ops.h"

#define ID_PREFIX_MIN 8

void api_image_list(struct api_call *c)
{
	image_list(c->d, &c->who, api_on_ok, c);
}

static bool has_prefix(const char *id, const char *prefix)
{
	size_t len = strlen(prefix);

	return len >= ID_PREFIX_MIN && strncmp(id, prefix, len) == 0;
}

/* By name (the first of the list, which is the newest), else by a unique prefix of the id. */
static const json_t *find(const json_t *items, const char *ref, struct fault *fault)
{
	const json_t *found = NULL;
	json_t *image;
	size_t i;

	json_array_foreach((json_t *)items, i, image)
	{
		const char *id = json_string_value(json_object_get(image, "id"));
		const char *name = json_string_value(json_object_get(image, "name"));

		if (name && strcmp(name, ref) == 0) {
			return image;
		}
		if (id && has_prefix(id, ref)) {
			if (found) {
				fault_set(fault, FAULT_IMAGE_MISSING,
					  "More than one D-VM image begins with that id");
				return NULL;
			}
			found = image;
		}
	}
	if (!found) {
		fault_set(fault, FAULT_IMAGE_MISSING, "There is no such D-VM image");
	}
	return found;
}

static void on_list(const json_t *result, const struct fault *fault, void *user)
{
	struct api_call *c = user;
	const json_t *image;
	struct fault missing;

	if (fault) {
		api_fault(c, fault);
		return;
	}
	image = find(json_object_get(result, "items"), c->params[0], &missing);
	if (!image) {
		api_fault(c, &missing);
		return;
	}
	api_reply(c, 200, image);
}

void api_image_get(struct api_call *c)
{
	image_list(c->d, &c->who, on_list, c);
}
