/* SPDX-License-Identifier: Apache-2.0 */
/* A fault as application/problem+json (RFC 9457). */
#pragma once

#include <jansson.h>

#include "fault.h"

#define PROBLEM_TYPE "application/problem+json"

/* {"type","title","status","code","detail","hint"}; NULL on no memory. `status`: of the answer. */
json_t *problem_json(const struct fault *fault, unsigned status);
