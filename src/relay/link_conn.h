/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tunnel link on an fd: reads, writes, and hands what arrives to the channels.
 *
 * Theory of operation: whoever sends on a channel calls link_conn_kick() (channel.h does); the
 * bytes are written when the loop comes round, as many as the fd takes. While much output waits
 * nothing is read, so that a peer cannot make us collect answers for it. Data for channels is only
 * taken from its source while little output waits; when it has drained, the channels' `drained` is
 * called. A channel that cannot send because memory or output ran out marks the whole connection
 * failed; it is ended from the loop, never inside a callback.
 */
#pragma once

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "list.h"
#include "poll_set.h"
#include "tunnel_link.h"

/* Below this the connection takes data for its channels. */
#define LINK_CONN_OUTPUT_LOW ((size_t)128 * 1024)

enum link_conn_kind {
	LINK_CONN_SOCKET, /* an error or the end of file ends it */
	LINK_CONN_PORT, /* a virtio-serial port: starts anew after errors and where no answer comes
			 */
};

struct link_conn;

struct link_conn_ops {
	void (*up)(struct link_conn *c, void *user);
	/* The peer opens a channel: accept or refuse. */
	void (*open)(struct link_conn *c, uint16_t id, const char *service, uint8_t mode,
		     uint64_t from, void *user);
	/* The connection has ended: called once, from the loop; the owner may free it here. */
	void (*ended)(struct link_conn *c, void *user);
};

struct link_conn_options {
	enum link_conn_kind kind;
	enum tunnel_role role;
	size_t output_max;     /* see tunnel_link_new() */
	unsigned channels_max; /* both sides' together */
};

int link_conn_new_take(sd_event *event, struct poll_set *poll, int fd,
		       const struct link_conn_options *options, const struct link_conn_ops *ops,
		       void *user, struct link_conn **ret) _must_check_;
/* Every channel's `closed` is called with "relay-lost". Not inside a callback but `ended`. */
struct link_conn *link_conn_free(struct link_conn *c);

struct tunnel_link *link_conn_link(struct link_conn *c);
/* There is output, or `failed`: to be dealt with from the loop. */
void link_conn_kick(struct link_conn *c);
void link_conn_fail(struct link_conn *c);
/* What waits is still sent, then the other end reads that nothing more comes; what is sent from now
 * on it does not get. Reading goes on. */
void link_conn_no_more(struct link_conn *c);
/* Little output waits: data may be sent. */
bool link_conn_is_drained(struct link_conn *c);
/* False when the connection has as many channels as it may. */
bool link_conn_has_room(const struct link_conn *c);

/* For channel.c only. The first is a tunnel_write_fn; the second has every channel's `writable`
 * called when no output waits and the fd takes some. */
size_t link_conn_write_now(const void *head, size_t head_len, const void *p, size_t len,
			   void *user);
void link_conn_unsent(struct link_conn *c);
void link_conn_add(struct link_conn *c, struct list *of_conn);
void link_conn_remove(struct link_conn *c, struct list *of_conn);
