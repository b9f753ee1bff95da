/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent in the D-VM is told (PROTOCOL.agent §1), out of what dvm-hostd gave. */
#pragma once

#include <jansson.h>

#include "buf.h"
#include "fault.h"

#define AGENT_CONFIG_MAX ((size_t)512 * 1024)

/* Appends all lines but `clock`, `seed` and `end`. -EREMOTEIO with a fault when something is
 * missing or not as it should be; nothing is promised about `out` then. */
int agent_config_encode(struct buf *out, const json_t *config, struct fault *fault) _must_check_;
/* Appends the lines that are different each time, and `end`. */
int agent_config_finish(struct buf *out) _must_check_;
