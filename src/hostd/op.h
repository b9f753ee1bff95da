/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An operation: what a method of PROTOCOL.host does, or what dvm-hostd does of itself, in a worker
 * thread.
 *
 * Theory of operation: op_start() queues it behind those with the same key (a session's or VM's
 * id), run() does the work and returns 0 or -EREMOTEIO with op->fault filled, then finish() runs in
 * the loop's thread; the default answers the request. run() sees nothing of the loop's but through
 * functions that say so.
 */
#pragma once

#include <jansson.h>

#include "hostd.h"
#include "rpc_peer.h"

struct op {
	struct hostd *hostd;
	json_t *params; /* never NULL */
	json_t *result; /* set by run() */
	struct fault fault;
	struct rpc_request *request; /* NULL: dvm-hostd's own */
	const struct op_method *method;
	int fd;	    /* goes with the answer; -1: none */
	int status; /* of run() */
};

struct op_method {
	const char *name;
	const char *key;  /* member of params that orders operations: "session", "vm", "relay", or
			     NULL */
	const char *kind; /* only those of one kind wait for each other; NULL: all with the key */
	int (*run)(struct op *op);
	void (*finish)(struct op *op); /* NULL: op_reply(). Else it must see to it that the request
					  gets its answer. */
};

/* Takes `params` (NULL: {}); `request` may be NULL. In the loop's thread. */
void op_start(struct hostd *h, const struct op_method *method, json_t *params,
	      struct rpc_request *request);
/* Answers the request with what run() left. */
void op_reply(struct op *op);

/* Members of params; all set op->fault and return NULL or -EREMOTEIO. */
const char *op_string(struct op *op, const char *key, bool (*valid)(const char *));
int op_number(struct op *op, const char *key, uint64_t min, uint64_t max,
	      uint64_t *ret) _must_check_;
bool op_true(const struct op *op, const char *key);
int op_no_memory(struct op *op);

/* As failpoint(), with a fault. */
int op_failpoint(struct fault *fault, const char *name) _must_check_;
