/* SPDX-License-Identifier: Apache-2.0 */
/* A one-time ticket for a stream, and the stream opened with it. */
#pragma once

#include "cli.h"
#include "stream_client.h"

struct ticket_request {
	const char *path; /* /v1/vms/VM/streams or /v1/sessions/SESSION/streams */
	const char *kind; /* "console", "vnc", "ssh" */
	const char *mode; /* "r", "rw", "take" */
};

/* Asks for a ticket and connects `s` with it, from offset `from` on. */
int ticket_connect(struct cli *cli, const struct ticket_request *request, uint64_t from,
		   struct stream_client *s, struct fault *fault) _must_check_;

/* write()s it all, waiting where the fd does not block (it may be shared with others). */
int write_out(int fd, const void *p, size_t len) _must_check_;
