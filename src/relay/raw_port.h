/* SPDX-License-Identifier: Apache-2.0 */
/* Ports of targets as devices of the D-VM: a hub's bytes on a chardev of the emulator, and back. */
#pragma once

#include <jansson.h>

#include "relay.h"

/* The D-VM's end, a stream socket; makes the port where there is none, replaces the end it had. */
int raw_port_open_take(struct relay *relay, const char *name, int fd) _must_check_;
/* A connection to the hub's relay, whose first line has been exchanged; replaces the one there was,
 * and goes on where that ended. `writable`: what the D-VM sends is passed on, else it is dropped.
 */
int raw_port_link_take(struct relay *relay, const char *name, bool writable, int fd) _must_check_;
/* Fine when there is none. */
void raw_port_close(struct relay *relay, const char *name);
/* For `status`: [{"name","open","linked","mode","lost"}] */
json_t *raw_ports_status(const struct relay *relay);
void raw_ports_free(struct relay *relay);
