/* SPDX-License-Identifier: Apache-2.0 */
/* The target's end of a hub: an fd that is always drained. */
#pragma once

#include <systemd/sd-event.h>

#include "hub.h"

enum hub_source_kind {
	HUB_SOURCE_STREAM, /* pty, unix or TCP socket: read and written */
	HUB_SOURCE_FILE,   /* a file that grows: read from where it was left, or from its start */
};

struct hub_source_options {
	enum hub_source_kind kind;
	bool writable;
	bool fresh; /* nothing was lost since the last source */
};

struct hub_source;

struct hub_source_ops {
	/* Called from the loop when the source has ended; the owner may free it there. */
	void (*lost)(void *user);
	/* A break is due; hub_broke() when it is over. */
	void (*brk)(void *user);
	/* The guest has said that its kernel panics; not more often than every 10 s. */
	void (*panicked)(const char *text, void *user);
};

int hub_source_new_take(sd_event *event, struct hub *hub, int fd,
			const struct hub_source_options *options, const struct hub_source_ops *ops,
			void *user, struct hub_source **ret) _must_check_;
/* Reads what is there still. The hub is told that the source is gone only by hub_source_down(). */
struct hub_source *hub_source_free(struct hub_source *s);
