/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several gdbs on one stub: who may what, and that the target runs on when they are gone.
 *
 * Theory of operation: the stub stops its target as soon as it is connected. Of the clients at most
 * one controls; the others read, while the target is stopped. What a client asks is parsed against
 * gdb.h's table, and only what the broker itself writes gets to the stub. The stub answers in
 * order, so each packet sent leaves an entry in one queue that says whose the answer is; long reads
 * are split into as many as the stub takes at once, without waiting between them. While the target
 * runs nothing is sent but an interrupt, for the stub would stop it at any byte. The thread that is
 * looked at, and whether addresses are physical, the stub keeps once and each client has for
 * itself: it is said anew when it differs.
 *
 * Breakpoints are the controller's and are noted. When he leaves, for whatever reason, they are
 * removed, for which a running target is stopped for a moment, and the target goes on, unless it
 * was stopped when the stub was connected and he never let it run.
 *
 * Sans-I/O: bytes in, bytes into queues out. After each call the caller looks at all of them.
 */
#pragma once

#include "fault.h"
#include "gdb.h"
#include "list.h"

#define GDB_CLIENTS_MAX 8
#define GDB_BREAKPOINTS_MAX 256
/* What a client may send ahead: the caller puts no more in than gdb_client_room(). */
#define GDB_CLIENT_AHEAD ((size_t)32 * 1024)
/* What one read of memory may have, so that its answer is a packet. */
#define GDB_READ_MAX (GDB_PACKET_MAX / 2)

struct gdb_broker;
struct gdb_client;

/* `was_running`: before the stub was connected. */
int gdb_broker_new(bool was_running, struct gdb_broker **ret) _must_check_;
struct gdb_broker *gdb_broker_free(struct gdb_broker *b); /* clients are freed before */

/* -EPROTO: the stub says what no stub says, or its target is no more; -ENOMEM, -ENOBUFS. The broker
 * is at its end then, its clients too. */
int gdb_broker_from_stub(struct gdb_broker *b, const void *p, size_t len) _must_check_;
struct buf *gdb_broker_to_stub(struct gdb_broker *b);
/* The target does not run, or is about to be stopped. */
bool gdb_broker_is_stopped(const struct gdb_broker *b);
bool gdb_broker_is_controlled(const struct gdb_broker *b);
/* The target is to run when all have left; once true it stays. */
bool gdb_broker_runs_after(const struct gdb_broker *b);
/* Nobody is there and nothing is left to be done: the stub may be disconnected. */
bool gdb_broker_is_idle(const struct gdb_broker *b);
/* Ends the controller, of whom somebody else has decided that the target is to run. */
void gdb_broker_let_go(struct gdb_broker *b);
/* For who cannot wait: what makes the stub let its target go, without looking at what it answers,
 * behind what to_stub has. */
int gdb_broker_abandon(struct gdb_broker *b) _must_check_;

/* A client that wants to control does when nobody else does, or when it takes over: then the former
 * controller's breakpoints go and it reads from then on. FAULT_VM_NOT_STOPPED: it may only read,
 * and the target runs; FAULT_QUOTA, FAULT_INTERNAL. */
enum fault_code gdb_client_new(struct gdb_broker *b, bool controls, bool takes,
			       struct gdb_client **ret) _must_check_;
/* He leaves. */
struct gdb_client *gdb_client_free(struct gdb_client *c);
bool gdb_client_controls(const struct gdb_client *c);
/* Nothing more comes: the caller ends it when its output is gone. */
bool gdb_client_is_over(const struct gdb_client *c);
size_t gdb_client_room(const struct gdb_client *c);
/* -EPROTO: no client says so; -ENOMEM, -ENOBUFS. */
int gdb_client_input(struct gdb_client *c, const void *p, size_t len) _must_check_;
struct buf *gdb_client_output(struct gdb_client *c);
