/* SPDX-License-Identifier: Apache-2.0 */
/* A stream for a program that knows no frames: the bytes of one channel, as they are. */
#pragma once

#include "relay.h"

struct raw_conn;

/* Joins `fd` to `service` behind `tunnel_fd`, where frames are spoken (the other end of a socket
 * pair: inside the relay a raw stream is served like any other). `ended` is called from the loop,
 * once; the owner may free it there. */
int raw_conn_new_take(struct relay *relay, int fd, int tunnel_fd, const char *service, uint8_t mode,
		      void (*ended)(void *user), void *user, struct raw_conn **ret) _must_check_;
struct raw_conn *raw_conn_free(struct raw_conn *r);
