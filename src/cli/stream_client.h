/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One stream of a relay (PROTOCOL.tunnel) through the gate, for a poll loop.
 *
 *	stream_client_new(&ops, user, &s);
 *	stream_client_connect(s, config, url_of_the_ticket, "console", TUNNEL_MODE_READ,
 *TUNNEL_FROM_KEPT, &fault); while (poll(stream_client_fd(s), stream_client_events(s), …)) r =
 *stream_client_pump(s, &fault);
 *
 * Theory of operation: callbacks run inside stream_client_pump() only. Bytes handed to data() are
 *the caller's; he says with stream_client_done() when they are dealt with, and at most
 *STREAM_WINDOW of them are under way: that is how a slow terminal slows the relay. When the
 *connection breaks (pump: -ECONNRESET), stream_client_connect() with a new ticket, from
 *stream_client_offset() on, goes on where it stopped.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "config.h"
#include "fault.h"
#include "tunnel.h"

#define STREAM_WINDOW (1024 * 1024)

struct stream_client;

/* Each is there: a relay may say any of it. What means nothing to the caller is one of
 * stream_client_ignore_*(). */
struct stream_client_ops {
	/* The stream is open. `start`: offset of the first byte that will come; what was asked for
	 * before it is no longer kept. `mode`: what was granted. */
	void (*opened)(uint64_t start, uint8_t mode, void *user);
	void (*data)(const uint8_t *p, size_t len, void *user);
	/* The screen that TUNNEL_FROM_SCREEN asked for, in pieces, before any data(): the caller's,
	 * as data() is. */
	void (*screen)(const uint8_t *p, size_t len, bool last, void *user);
	/* `length` bytes are lost here; 0: unknown how many. */
	void (*gap)(uint64_t length, void *user);
	/* The right to write came (true) or went. */
	void (*writer)(bool holds, void *user);
	/* The target went away (off, migrating) or is back. */
	void (*source)(bool up, void *user);
	/* A break that was asked for is over: the line had it, or can have none. */
	void (*broke)(bool done, void *user);
	/* The hub has had so much of our input (typed.h). */
	void (*input)(uint64_t id, uint64_t had, void *user);
	/* Nothing more comes; writing may go on. */
	void (*eof)(void *user);
};

void stream_client_ignore_opened(uint64_t start, uint8_t mode, void *user);
/* For who does not ask for a screen, which then does not come. */
void stream_client_ignore_screen(const uint8_t *p, size_t len, bool last, void *user);
void stream_client_ignore_flag(bool value, void *user); /* writer, source, broke */
void stream_client_ignore_input(uint64_t id, uint64_t had, void *user);
void stream_client_ignore_eof(void *user);

int stream_client_new(const struct stream_client_ops *ops, void *user,
		      struct stream_client **ret) _must_check_;
struct stream_client *stream_client_free(struct stream_client *s);
/* Opens a connection (the one of before is dropped) and asks for the service; opened() comes later.
 * Blocks as ws_client_open(). `path`: the ticket's url. */
int stream_client_connect(struct stream_client *s, const struct config *config, const char *path,
			  const char *service, uint8_t mode, uint64_t from,
			  struct fault *fault) _must_check_;

int stream_client_fd(const struct stream_client *s);
short stream_client_events(const struct stream_client *s);
/*
 * Moves what can be moved. 0: go on; 1: the relay closed the stream, or all is said in both
 * directions; -EREMOTEIO with a fault: refused or closed with a reason; -ECONNRESET (fault:
 * relay-lost): the connection broke, try again with a new ticket; -ENOMEM.
 */
int stream_client_pump(struct stream_client *s, struct fault *fault) _must_check_;

/* Offset of the next byte to come: where to go on. */
uint64_t stream_client_offset(const struct stream_client *s);
/* How many bytes stream_client_write() takes now; 0 also before opened(). */
size_t stream_client_room(struct stream_client *s);
/* Bytes taken, 0 … len; -errno. */
ssize_t stream_client_write(struct stream_client *s, const void *p, size_t len) _must_check_;
/* Nothing more will be written (end of standard input); reading goes on. */
int stream_client_eof(struct stream_client *s) _must_check_;
/* `len` bytes of data() are dealt with. */
int stream_client_done(struct stream_client *s, size_t len) _must_check_;
/* BREAK, WINSIZE, TAKE, INPUT, PACE; ignored before opened(). */
int stream_client_ctl(struct stream_client *s, const struct tunnel_ctl *ctl) _must_check_;
