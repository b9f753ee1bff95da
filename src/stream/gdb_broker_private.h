/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the broker for gdbs share: its state, and how they call each other. */
#pragma once

#include "gdb_broker.h"

#define STOP_MAX 96
#define ANSWERS_MAX 1024
#define STUB_PACKET_DEFAULT 1024 /* where the stub does not say */

#define OK "OK" /* the answer to what has been done */

enum stub_state {
	STUB_GREETING, /* its target is stopped; the first answers are awaited */
	STUB_STOPPED,
	STUB_RUNNING,
	STUB_STOPPING, /* interrupted by us */
	STUB_GONE,
};

enum answer_kind {
	ANSWER_SUPPORTED, /* the three of the greeting */
	ANSWER_FEATURES,
	ANSWER_WHY,
	ANSWER_IGNORED,
	ANSWER_STOP, /* of the target that was let run; the last in the queue */
	/* the rest is for a client */
	ANSWER_PASSED,
	ANSWER_THREAD,
	ANSWER_THREADS,
	ANSWER_MEMORY,
	ANSWER_MEMORY_SET,
	ANSWER_BREAK,
	ANSWER_UNBREAK,
};

/* To one packet sent. */
struct answer {
	enum answer_kind kind;
	struct gdb_client *client; /* NULL: it has left, or nobody's */
	bool last;		   /* of those that make one answer together */
};

struct breakpoint {
	uint8_t type;
	uint64_t address, kind;
};

struct gdb_broker {
	enum stub_state state;
	bool runs_after;
	struct buf to_stub;
	struct gdb_reader from_stub;
	size_t stub_packet; /* what it takes */
	struct answer answers[ANSWERS_MAX];
	size_t first, n_answers;
	int stub_thread; /* as said last; GDB_THREAD_ALL: not known */
	bool stub_physical;
	char stop[STOP_MAX]; /* why the target stopped last */
	struct breakpoint breakpoints[GDB_BREAKPOINTS_MAX];
	size_t n_breakpoints;
	struct list clients;
	unsigned n_clients;
	struct gdb_client *controller;
	bool leaving; /* what a controller left is still to be put in order */
};

struct gdb_client {
	struct list of_broker;
	struct gdb_broker *b;
	bool no_ack, over;
	int thread, run_thread; /* of Hg, Hc */
	bool physical;
	bool busy; /* an answer is awaited */
	bool held; /* what was read last waits until the stub can be asked */
	struct buf in, out;
	struct gdb_reader reader;
	/* of the request that is being answered: */
	struct buf gathered;
	unsigned n_threads;
	bool parts_over; /* one was the last that counts */
	int thread_wanted;
	struct breakpoint breakpoint;
	size_t last_len; /* of the packet sent last, for one that wants it again */
	uint8_t *last;
};

/* gdb_broker.c */

/* Does what a controller who has left makes necessary, as far as the stub can be asked now. */
int gdb_broker_leave_in_order(struct gdb_broker *b);
void gdb_broker_controller_leaves(struct gdb_broker *b);
/* There is no stub any more: all clients are over. */
void gdb_broker_gone(struct gdb_broker *b);
/* NULL: that one is not set. */
struct breakpoint *gdb_broker_breakpoint(struct gdb_broker *b, const struct breakpoint *like);

/* gdb_stub.c: packets to the stub, each with the answer that it will have. */

/* True where `n` more packets may be sent. */
bool gdb_stub_has_room(const struct gdb_broker *b, size_t n);
int gdb_stub_send(struct gdb_broker *b, enum answer_kind kind, struct gdb_client *client, bool last,
		  const void *body, size_t len) _must_check_;
int gdb_stub_say(struct gdb_broker *b, enum answer_kind kind, struct gdb_client *client,
		 const char *body) _must_check_;
int gdb_stub_interrupt(struct gdb_broker *b) _must_check_;
/* Its target runs from here on. */
int gdb_stub_run(struct gdb_broker *b, struct gdb_client *client, const char *how) _must_check_;
/* What the client has set is so in the stub. */
int gdb_stub_select(struct gdb_broker *b, const struct gdb_client *c) _must_check_;
int gdb_stub_unbreak(struct gdb_broker *b, const struct breakpoint *p) _must_check_;

/* gdb_request.c */

/* Answers what the client asks, or has the stub asked. */
int gdb_request_serve(struct gdb_client *c, const char *body, size_t len) _must_check_;
/* Why the target is stopped. */
int gdb_request_tell_why(struct gdb_client *c) _must_check_;

/* gdb_client.c */

/* The answer to what it asked last. */
int gdb_client_answer(struct gdb_client *c, const void *p, size_t len) _must_check_;
int gdb_client_say(struct gdb_client *c, const char *body) _must_check_;
/* It is over. */
void gdb_client_leave(struct gdb_client *c);
/* One that cannot be answered any more is over; the broker is not. */
void gdb_client_fail(struct gdb_client *c, int err);
/* What they have said and waits is looked at again. */
void gdb_clients_go_on(struct gdb_broker *b);
