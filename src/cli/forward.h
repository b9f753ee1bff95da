/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream for programs on this machine that know nothing but TCP: a port on the loopback, each
 * connection to it a stream of its own with a ticket of its own.
 *
 * Theory of operation: the port is open to every user of the machine, the stream is one user's: a
 * connection whose other end belongs to somebody else is closed at once. What a program does not
 * read stays with the relay (stream_client.h); what goes wrong with one connection is said on
 * stderr and ends that one only.
 */
#pragma once

#include <poll.h>

#include "ticket.h"

#define FORWARD_CONNS_MAX 8
#define FORWARD_FDS_MAX (1 + 2 * FORWARD_CONNS_MAX)

struct forward;

/* Listens on 127.0.0.1. `port` 0: any that is free. */
int forward_listen(uint16_t port, int *ret_fd, uint16_t *ret_port,
		   struct fault *fault) _must_check_;
/* `request` and what it points to are the caller's. Takes `listen_fd`. */
int forward_new_take(struct cli *cli, const struct ticket_request *request, int listen_fd,
		     struct forward **ret) _must_check_;
struct forward *forward_free(struct forward *f);

/* Fills at most FORWARD_FDS_MAX of `fds`: what to poll for. */
size_t forward_poll(struct forward *f, struct pollfd *fds);
/* After poll(): moves what can be moved. */
void forward_step(struct forward *f);

size_t forward_open(const struct forward *f);	    /* connections now */
unsigned forward_accepted(const struct forward *f); /* connections ever */
