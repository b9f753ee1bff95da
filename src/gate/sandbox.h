/* SPDX-License-Identifier: Apache-2.0 */
/* The gate gives up what it does not need before it reads a user's first byte. */
#pragma once

#include "fault.h"

/* The user that the gate becomes where it was started as root. Sockets it must reach are made
 * accessible to it. */
#define GATE_UID 61183

/* From now on: own user without capabilities (if root), no new privileges, and no system calls but
 * those that the loop needs. Files stay closed: paths are reached relative to the working folder,
 * as sockets only. */
int sandbox_enter(struct fault *fault) _must_check_;
