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
	struct timer retry; /* the port is not there yet */
	bool inherited;	    /* an fd given by the caller: its end is our end */
	bool connected;	    /* the host's side is open */
};

/* `fd`: -1 to find the port by its name. */
int port_init(struct port *p, struct agent *a, int fd) _must_check_;
void port_fini(struct port *p);
/* Writes what stands in the output and sets what to poll for. */
void port_prepare(struct port *p);
