/* SPDX-License-Identifier: Apache-2.0 */
/* One event of the API (`Event` in interfaces/openapi.yaml) as a short sentence. */
#pragma once

#include <jansson.h>

/* For the caller to free; cleaned for a terminal. NULL: no memory. */
char *event_text(const json_t *event);
