/* SPDX-License-Identifier: Apache-2.0 */
/* The agent in the D-VM, on the D-VM's tunnel port. */
#pragma once

#include <jansson.h>

#include "fault.h"
#include "link_conn.h"
#include "relay.h"

struct agent;

/* Makes relay->agent if need be. `fd`: the tunnel port; replaces the one there was. -EREMOTEIO with
 * a fault. */
int agent_link_take(struct relay *relay, int fd, const json_t *config,
		    struct fault *fault) _must_check_;
/* Sends the configuration anew. -ENOENT before the first agent_link_take(). */
int agent_configure(struct relay *relay, const json_t *config, struct fault *fault) _must_check_;
struct agent *agent_free(struct agent *a);

/* NULL while the agent is not ready, and for no agent. */
struct link_conn *agent_conn(struct agent *a);
/* "none", "wait", "up" */
const char *agent_state(const struct agent *a);
/* NULL when not known. */
const char *agent_host_key(const struct agent *a);
/* Why the D-VM will never be ready, in its own words; NULL if it did not say so. */
const char *agent_failed(const struct agent *a);
/* The stacks that it says are there; NULL after the last. */
const char *agent_stack(const struct agent *a, size_t i);
