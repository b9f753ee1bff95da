/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A WebSocket to the gate: connected by libcurl (TLS, pin, proxy), then bytes both ways for a poll
 * loop.
 *
 * Theory of operation: opening blocks, for at most some 15 s. Afterwards nothing does:
 * ws_client_pump() moves what can be moved between the socket and the queues. What came in is
 * consumed from ws_client_in(); a full `in` stops the reading, so whoever consumed something pumps
 * again before he polls.
 */
#pragma once

#include <stdbool.h>

#include "buf.h"
#include "config.h"
#include "fault.h"

struct ws_client;

/* `path`: /v1/streams/TICKET; `protocol`: the subprotocol to ask for, NULL: none. What the gate
 * answers instead of a stream becomes the fault. */
int ws_client_open(const struct config *config, const char *path, const char *protocol,
		   struct ws_client **ret, struct fault *fault) _must_check_;
struct ws_client *ws_client_free(struct ws_client *c);

int ws_client_fd(const struct ws_client *c);
short ws_client_events(const struct ws_client *c); /* for poll() */
/* 0; -EPIPE: the gate closed the stream; -ECONNRESET: the connection broke; -ENOMEM. What came
 * before stands in ws_client_in(). */
int ws_client_pump(struct ws_client *c) _must_check_;
/* The close frame's code after -EPIPE; 0: none. */
unsigned ws_client_code(const struct ws_client *c);

struct buf *ws_client_in(struct ws_client *c);
/* How many bytes ws_client_send() takes now; all or -ENOBUFS. */
size_t ws_client_room(const struct ws_client *c);
int ws_client_send(struct ws_client *c, const void *p, size_t len) _must_check_;
/* No more is sent; go on pumping until -EPIPE. */
int ws_client_close(struct ws_client *c) _must_check_;
