/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's link to the relay, over a virtio-serial port or an inherited fd. */
#pragma once

#include "loop.h"
#include "tunnel_link.h"

#define PORT_NAME "org.dvm.tunnel.0"

struct agent;

struct port {
	struct agent *agent;
	struct source source;
	struct tunnel_link *link;
	bool inherited; /* an fd given by the caller: its end is our end */
	bool connected; /* the host's side is open */
};

/* Opens the virtio-serial port that has our name, not blocking, close-on-exec. -ENOENT while there
 * is none. */
int port_find(void) _must_check_;
/* Whether the host's side of a port is open. */
bool port_host_is_there(int fd);

/* Takes `fd`: a port, or (`inherited`) a stream whose end is our end. */
int port_init(struct port *p, struct agent *a, int fd, bool inherited) _must_check_;
void port_fini(struct port *p);
/* Writes what stands in the output and sets what to poll for. */
void port_prepare(struct port *p);
