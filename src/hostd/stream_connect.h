/* SPDX-License-Identifier: Apache-2.0 */
/* Connects to a relay's stream socket, as dvm-gate does: for the link between two relays. */
#pragma once

#include "hostd.h"

/* In a worker: grants a ticket, connects, exchanges the first line (PROTOCOL.tunnel §5). */
int stream_connect(struct hostd *h, const char *relay, const char *service, const char *mode,
		   int *ret_fd, struct fault *fault);
