/* SPDX-License-Identifier: Apache-2.0 */
/* The gate's listening sockets. */
#pragma once

#include "fault.h"

#define GATE_LISTENERS_MAX 16

/* Fills `ret_fds` with the supervisor's sockets (LISTEN_FDS), or else one bound to `address`; the
 * port it got is kept in the file `port_path`. */
int listen_open(const char *address, const char *port_path, int ret_fds[GATE_LISTENERS_MAX],
		size_t *ret_n, struct fault *fault) _must_check_;
