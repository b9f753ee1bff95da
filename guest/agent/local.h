/* SPDX-License-Identifier: Apache-2.0 */
/* Programs inside the D-VM that want something of the relay: RUN/agent.sock. */
#pragma once

#include "loop.h"

struct agent;

struct local {
	struct agent *agent;
	struct source listener;
	struct list clients;
	size_t n_clients;
};

/*
 * A client speaks PROTOCOL.tunnel as the dialer. It may open
 *   console/NAME, verb    switched through to the relay
 *   agent                 one line of JSON: what the agent itself knows
 */
int local_init(struct local *l, struct agent *a) _must_check_;
void local_fini(struct local *l);
void local_prepare(struct local *l);
