/* SPDX-License-Identifier: Apache-2.0 */
/* From a method and a path to a route of the API's table. */
#include "router.h"

#include <string.h>

bool router_matches(const char *pattern, const struct http_target *target, const char **params)
{
	size_t n_params = 0;

	for (size_t i = 0; i < target->n_segments; i++) {
		const char *segment = target->segments[i];
		size_t len;

		if (*pattern != '/') {
			return false;
		}
		pattern++;
		len = strcspn(pattern, "/");
		if (pattern[0] == '{') {
			if (segment[0] == '\0') {
				return false;
			}
			assert(n_params < API_PARAMS_MAX);
			params[n_params++] = segment;
		} else if (strlen(segment) != len || memcmp(segment, pattern, len) != 0) {
			return false;
		}
		pattern += len;
	}
	return *pattern == '\0';
}

static void allow_add(char allow[ROUTER_ALLOW_MAX], const char *method)
{
	size_t len = strlen(allow);

	snprintf(allow + len, ROUTER_ALLOW_MAX - len, "%s%s", len > 0 ? ", " : "", method);
}

const struct api_route *router_find(const char *method, const struct http_target *target,
				    const char **params, char allow[ROUTER_ALLOW_MAX])
{
	const struct api_route *found = NULL;
	const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;

	allow[0] = '\0';
	for (size_t i = 0; i < api_n_routes; i++) {
		const struct api_route *route = &api_routes[i];

		if (!router_matches(route->path, target, params)) {
			continue;
		}
		if (strcmp(route->method, wanted) == 0) {
			found = route;
		}
		allow_add(allow, route->method);
		if (strcmp(route->method, "GET") == 0) {
			allow_add(allow, "HEAD");
		}
	}
	if (allow[0]) {
		allow_add(allow, "OPTIONS");
	}
	return found;
}
