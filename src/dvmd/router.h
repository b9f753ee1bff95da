/* SPDX-License-Identifier: Apache-2.0 */
/* From a method and a path to a route of the API's table. Pure. */
#pragma once

#include "api_call.h"

extern const struct api_route api_routes[];
extern const size_t api_n_routes;

/* True where the path is `pattern`; fills `params` (API_PARAMS_MAX). */
bool router_matches(const char *pattern, const struct http_target *target, const char **params);
/* NULL: none. HEAD counts as GET. `allow`: the methods of the path as in the Allow header, "" where
 * it leads nowhere. */
#define ROUTER_ALLOW_MAX 64
const struct api_route *router_find(const char *method, const struct http_target *target,
				    const char **params, char allow[ROUTER_ALLOW_MAX]);
