/* SPDX-License-Identifier: Apache-2.0 */
/* The VM's gdb stub, for gdbs on channels. */
#pragma once

#include "link_conn.h"
#include "relay.h"

struct gdb_service;

/* Answers the peer's open, now or when dvm-hostd has opened the stub. `mode` has been through
 * policy_mode(). */
void gdb_channel_open(struct relay *relay, struct link_conn *conn, uint16_t id, uint8_t mode);
/* Whoever controls is sent away, and the VM runs. Fine when there is no stub. */
void gdb_let_go(struct relay *relay);
/* There is a stub, or one is awaited. */
bool gdb_is_on(const struct relay *relay);
/* … and the VM is stopped by it. */
bool gdb_is_stopped(const struct relay *relay);
size_t gdb_count(const struct relay *relay);
/* When all channels are gone: the VM is let go. */
struct gdb_service *gdb_service_free(struct gdb_service *g);
