/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of dvmd at its door.sock (interfaces/PROTOCOL.door). */
#pragma once

#include <jansson.h>

#include "fault.h"

#define DOOR_CALL_TIMEOUT (5 * USEC_PER_SEC)

/* Connects and says hello; tries again for `patience` where dvmd is just being started. host-away.
 */
int door_connect(const char *path, usec_t patience, int *ret_fd, struct fault *fault) _must_check_;
/* Takes `params`. */
int door_call(int fd, const char *method, json_t *params, json_t **ret,
	      struct fault *fault) _must_check_;
