/* SPDX-License-Identifier: Apache-2.0 */
/* What a ticket allows on a stream. Modes are sets of enum tunnel_mode. */
#pragma once

#include "fault.h"
#include "tunnel.h"

/* "r", "rw", "take". -EINVAL. */
int policy_mode_parse(const char *name, uint8_t *ret_mode) _must_check_;
/* The part of `asked` that `allowed` covers. FAULT_PROTOCOL for a set that the protocol does not
 * know, FAULT_FORBIDDEN when nothing is left. */
enum fault_code policy_mode(uint8_t allowed, uint8_t asked, uint8_t *ret_mode) _must_check_;
