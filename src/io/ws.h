/* SPDX-License-Identifier: Apache-2.0 */
/* WebSocket (RFC 6455) after its handshake, for byte streams: binary messages whose borders mean
 * nothing. Sans-I/O. */
#pragma once

#include <stdbool.h>

#include "buf.h"

enum ws_role { WS_SERVER, WS_CLIENT };

enum ws_code {
	WS_NORMAL = 1000,
	WS_GOING_AWAY = 1001,
	WS_PROTOCOL = 1002,
	WS_POLICY = 1008,
	WS_INTERNAL = 1011,
};

/* What a message adds to its payload, at most. */
#define WS_OVERHEAD 14
/* A step of ws_input() fills `payload` by at most so much. */
#define WS_STEP_MAX 4096

struct ws;

int ws_new(enum ws_role role, struct ws **ret) _must_check_;
struct ws *ws_free(struct ws *w);

/*
 * Takes frames from the head of `in`, as long as `payload` has room for a step. Payload goes there,
 * answers to pings and the answer to a close frame to `out` (at most as many bytes as `in` held,
 * and 256). Text is no byte stream: it is answered with WS_POLICY. 0; -EPIPE: the peer has closed,
 * or broke the rules (its close frame or ours stands in `out`); -ENOMEM, -ENOBUFS.
 */
int ws_input(struct ws *w, struct buf *in, struct buf *payload, struct buf *out) _must_check_;
/* The peer's code after -EPIPE; 0: it sent none. */
unsigned ws_peer_code(const struct ws *w);

/* Append one frame to `out`: -ENOBUFS when it has no room, -ENOMEM. */
int ws_send(struct ws *w, const void *p, size_t len, struct buf *out) _must_check_;
int ws_ping(struct ws *w, struct buf *out) _must_check_;
/* Nothing can be sent afterwards; a second close is ignored. */
int ws_close(struct ws *w, enum ws_code code, struct buf *out) _must_check_;

/* Sec-WebSocket-Accept for a Sec-WebSocket-Key. -EINVAL: the key is not base64 of 16 bytes. */
#define WS_ACCEPT_LEN 28
int ws_accept_key(const char *key, size_t key_len, char out[WS_ACCEPT_LEN + 1]) _must_check_;
