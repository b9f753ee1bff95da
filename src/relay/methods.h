/* SPDX-License-Identifier: Apache-2.0 */
/* The methods of a relay (PROTOCOL.relay §1). */
#pragma once

#include <jansson.h>

#include "relay.h"
#include "rpc_peer.h"

/* Answers the call. fds that are kept are set to -1. */
void methods_call(struct relay *relay, struct rpc_request *r, const char *method,
		  const json_t *params, int *fds, size_t n_fds);
