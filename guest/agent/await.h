/* SPDX-License-Identifier: Apache-2.0 */
/* The agent before there is a session. */
#pragma once

#include <stdbool.h>

#include "macro.h"

/*
 * Waits until the host's side of the agent's port is open, and returns the port's fd in `ret_fd`
 * (close-on-exec). True in `ret_waited` if it was not open at once: the memory of this D-VM may be
 * one that others started from, and the caller had better begin anew. Negative errno.
 */
int await_host(int *ret_fd, bool *ret_waited) _must_check_;
