/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One channel of a link_conn, for whoever serves it: embedded in the server's own struct, with a
 * vtable.
 *
 * Theory of operation: a channel lives from channel_init() to channel_close() or its `closed`
 * callback, whichever is first; its server frees itself then. What fails for want of memory or room
 * fails the connection, from the loop; a server need not look at it.
 */
#pragma once

#include "link_conn.h"

struct channel;

struct channel_ops {
	/* Our open was granted: see tunnel_link.h. */
	void (*opened)(struct channel *c, uint64_t start, uint8_t mode);
	void (*data)(struct channel *c, const uint8_t *p, size_t len);
	/* A piece of the screen that an open from TUNNEL_FROM_SCREEN asked for. */
	void (*screen)(struct channel *c, const uint8_t *p, size_t len, bool last);
	/* length 0: unknown */
	void (*gap)(struct channel *c, uint64_t length);
	/* More may be sent: the peer gave credit, or output has drained. */
	void (*writable)(struct channel *c);
	void (*eof)(struct channel *c);
	void (*ctl)(struct channel *c, const struct tunnel_ctl *ctl);
	/* The channel is gone. The server may free itself. */
	void (*closed)(struct channel *c, const char *reason);
};

struct channel {
	const struct channel_ops *ops;
	struct link_conn *conn; /* NULL: gone */
	uint16_t id;
	struct list of_conn;
};

/* For a channel that the peer opens. */
void channel_init(struct channel *c, const struct channel_ops *ops, struct link_conn *conn,
		  uint16_t id);
/* Opens one. -ENOTCONN, -ENOSPC, -ENOMEM, -ENOBUFS. */
int channel_open(struct channel *c, const struct channel_ops *ops, struct link_conn *conn,
		 const char *service, uint8_t mode, uint64_t from, uint64_t window) _must_check_;
void channel_accept(struct channel *c, uint64_t start, uint64_t limit, uint8_t mode);

/* Bytes that may be sent now: credit, and little output waiting. */
size_t channel_room(struct channel *c);
/* Sends what goes; returns how much. */
size_t channel_send(struct channel *c, const void *p, size_t len);
/* For bytes that can be had again: sends one frame of them without a copy, while no output waits.
 * Returns how much; after 0 `writable` is called when it may be tried again. */
size_t channel_send_now(struct channel *c, const void *p, size_t len);
/* The same with the screen; `last`: it ends there. */
size_t channel_screen(struct channel *c, const void *p, size_t len, bool last);
void channel_gap(struct channel *c, uint64_t length);
/* Lets the peer send up to `limit`; does nothing where it may already. */
void channel_credit(struct channel *c, uint64_t limit);
/* Lets the peer send `window` bytes from where it is. */
void channel_window(struct channel *c, uint64_t window);
void channel_eof(struct channel *c);
void channel_ctl(struct channel *c, const struct tunnel_ctl *ctl);
/* Also when it is gone already. */
void channel_close(struct channel *c, const char *reason);

/* Refuses the peer's open. */
void channel_refuse(struct link_conn *conn, uint16_t id, const char *reason);

/* For link_conn.c only: the channel is gone, its server is told. */
void channel_gone(struct channel *c, const char *reason);

/* Vtable entries of servers that have nothing to do there. */
void channel_ignore_opened(struct channel *c, uint64_t start, uint8_t mode);
void channel_ignore_screen(struct channel *c, const uint8_t *p, size_t len, bool last);
void channel_ignore_gap(struct channel *c, uint64_t length);
void channel_ignore_eof(struct channel *c);
void channel_ignore_ctl(struct channel *c, const struct tunnel_ctl *ctl);
void channel_ignore_writable(struct channel *c);
