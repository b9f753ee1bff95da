/* SPDX-License-Identifier: Apache-2.0 */
/* Framing and messages of interfaces/PROTOCOL.host §1. Sans-I/O; JSON by jansson. */
#pragma once

#include <jansson.h>

#include "buf.h"
#include "fault.h"

#define RPC_BODY_MAX (1024 * 1024)
#define RPC_FDS_MAX 8

enum rpc_kind { RPC_CALL = 1, RPC_RESULT, RPC_FAULT, RPC_NOTICE };

struct rpc_message {
	enum rpc_kind kind;
	uint64_t id;	    /* not for notices */
	char method[64];    /* calls and notices */
	json_t *body;	    /* params or result, an object; owned */
	struct fault fault; /* RPC_FAULT */
};

void rpc_message_fini(struct rpc_message *m);
/* 1: a message was taken from the head; 0: more bytes needed; -EPROTO (malformed, or jansson had no
 * memory for it: it does not tell them apart), -ENOMEM. */
int rpc_decode(const uint8_t *p, size_t len, struct rpc_message *ret,
	       size_t *ret_used) _must_check_;
/* Borrows m->body. -ENOBUFS, -ENOMEM, -EMSGSIZE. */
int rpc_encode(struct buf *out, const struct rpc_message *m) _must_check_;
