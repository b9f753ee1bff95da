/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One end of a tunnel connection: HELLO, the channel table, offsets and credits. Sans-I/O: the
 * owner feeds what it read with tunnel_link_input() and writes out what stands in
 * tunnel_link_output().
 *
 * Theory of operation: callbacks run inside tunnel_link_input(), tunnel_link_output_sent()
 * (writable() only) and tunnel_link_reset() (closed() only). They may call every function here but
 * tunnel_link_free() and tunnel_link_input(). Output is bounded: DATA is only accepted while
 * tunnel_link_room() is not 0, small frames always fit (the peer cannot make us send more than it
 * sends); a peer that makes output grow beyond its maximum nevertheless gets -ENOBUFS out of the
 * call that did it, and the owner drops the connection.
 *
 * A virtio-serial port has no connections that could be dropped. There, the owner sets
 * tunnel_link_set_portlike(), and calls tunnel_link_reset() when it sees the other end go away and,
 * as a dialer, when all output is written and the link is not up after about a second.
 */
#pragma once

#include "tunnel.h"

struct tunnel_link;

/* What a channel is to its two ends. The link owns nothing behind `user`. */
struct tunnel_link_ops {
	/* HELLO done, or done anew: all channels of before are gone (each was closed()). */
	void (*up)(struct tunnel_link *l, void *user);
	/* The peer opens `channel`: answer now or later with tunnel_link_accept() or
	 * tunnel_link_refuse(). */
	void (*open)(struct tunnel_link *l, uint16_t channel, const char *service, uint8_t mode,
		     uint64_t from, void *user);
	/* Our open was granted. Bytes from what we asked for up to `start`, if any, are no longer
	 * kept. */
	void (*opened)(struct tunnel_link *l, uint16_t channel, uint64_t start, uint8_t mode,
		       void *user);
	void (*data)(struct tunnel_link *l, uint16_t channel, uint64_t offset, const uint8_t *p,
		     size_t len, void *user);
	/* A piece of the screen that an open from TUNNEL_FROM_SCREEN asked for; give credit as for
	 * data. May be NULL for an owner that asks for none. */
	void (*screen)(struct tunnel_link *l, uint16_t channel, const uint8_t *p, size_t len,
		       bool last, void *user);
	/* length 0: unknown. A gap uses no credit, but moves the offset towards the limit: give
	 * credit as for data. */
	void (*gap)(struct tunnel_link *l, uint16_t channel, uint64_t offset, uint64_t length,
		    void *user);
	/* The peer raised its limit, or output drained (after tunnel_link_output_sent()): more can
	 * be sent. */
	void (*writable)(struct tunnel_link *l, uint16_t channel, void *user);
	void (*eof)(struct tunnel_link *l, uint16_t channel, void *user);
	void (*ctl)(struct tunnel_link *l, uint16_t channel, const struct tunnel_ctl *ctl,
		    void *user);
	/* The channel is gone: refused, closed by the peer, or the link started anew (reason
	 * "relay-lost"). Called once; the number must not be used afterwards. Not called for
	 * channels we closed. */
	void (*closed)(struct tunnel_link *l, uint16_t channel, const char *reason, void *user);
};

/* `output_max` bytes of output are kept at most (at least 256 KiB). A HELLO stands in the output at
 * once. `user` is passed to every callback. */
int tunnel_link_new(enum tunnel_role role, const struct tunnel_link_ops *ops, void *user,
		    size_t output_max, struct tunnel_link **ret) _must_check_;
struct tunnel_link *tunnel_link_free(struct tunnel_link *l); /* no callbacks */
/* Forgets all (closed() for each channel), output included, and starts anew. */
void tunnel_link_reset(struct tunnel_link *l);
/* For a port without connections: tunnel_link_input() does not fail but starts anew by itself, and
 * goes on with what came behind the error. */
void tunnel_link_set_portlike(struct tunnel_link *l);
bool tunnel_link_is_up(const struct tunnel_link *l);

/* 0; -EPROTO (the peer broke the protocol: drop the connection), -ENOBUFS, -ENOMEM. After an error
 * it takes nothing more until tunnel_link_reset(). */
int tunnel_link_input(struct tunnel_link *l, const uint8_t *p, size_t len) _must_check_;
/* What is to be written; consume with tunnel_link_output_sent(), which calls writable() for
 * channels that waited. */
struct buf *tunnel_link_output(struct tunnel_link *l);
void tunnel_link_output_sent(struct tunnel_link *l, size_t len);

/* Of all functions below: -ENOENT when there is no such channel, or it is closed; -EINVAL when it
 * is not in the state for it; -ENOBUFS, -ENOMEM. */

/* Opens a channel; we accept `window` bytes at first. -ENOSPC when all numbers are in use,
 * -ENOTCONN when not up. */
int tunnel_link_open(struct tunnel_link *l, const char *service, uint8_t mode, uint64_t from,
		     uint64_t window, uint16_t *ret_channel) _must_check_;
/* `start`: the offset of the first byte we shall send; `limit`: absolute, from 0, what the peer may
 * send. */
int tunnel_link_accept(struct tunnel_link *l, uint16_t channel, uint64_t start, uint64_t limit,
		       uint8_t mode) _must_check_;
int tunnel_link_refuse(struct tunnel_link *l, uint16_t channel, const char *reason) _must_check_;

/* Bytes that may be sent on the channel now: credit, and room in the output. */
size_t tunnel_link_room(struct tunnel_link *l, uint16_t channel);
/* Sends min(len, room) bytes in one or more DATA frames; returns how many, or -errno (-EPIPE after
 * our EOF). */
ssize_t tunnel_link_send(struct tunnel_link *l, uint16_t channel, const void *p, size_t len);
/* For bytes that can be had again: sends one DATA frame of at most `len` bytes past the output, as
 * long as that is empty. `write` gets a frame's head and its bytes, and says how much of both it
 * took; what it left over of a frame that it began goes into the output. Returns bytes sent, 0 when
 * there is output, or no credit, or nothing was taken; -errno. */
typedef size_t (*tunnel_write_fn)(const void *head, size_t head_len, const void *p, size_t len,
				  void *user);
ssize_t tunnel_link_send_now(struct tunnel_link *l, uint16_t channel, const void *p, size_t len,
			     tunnel_write_fn write, void *user);
/* The same with the screen, before anything else, where the peer asked for it (else -EINVAL).
 * `last`: it ends with [p, p+len). */
ssize_t tunnel_link_send_screen(struct tunnel_link *l, uint16_t channel, const void *p, size_t len,
				bool last);
/* Absolute offset of the next byte we send / expect, and the limits in force (without what the wire
 * counts for SCREEN); also valid inside
 * closed(). A limit may stand below the offset after a gap. 0 for no such channel. */
uint64_t tunnel_link_tx_offset(const struct tunnel_link *l, uint16_t channel);
uint64_t tunnel_link_tx_limit(const struct tunnel_link *l, uint16_t channel);
uint64_t tunnel_link_rx_offset(const struct tunnel_link *l, uint16_t channel);
uint64_t tunnel_link_rx_limit(const struct tunnel_link *l, uint16_t channel);
/* Moves our offset on by `length` (0: unknown, stays). */
int tunnel_link_send_gap(struct tunnel_link *l, uint16_t channel, uint64_t length) _must_check_;
/* Allows the peer to send up to `limit` (absolute). */
int tunnel_link_credit(struct tunnel_link *l, uint16_t channel, uint64_t limit) _must_check_;
int tunnel_link_eof(struct tunnel_link *l, uint16_t channel) _must_check_;
int tunnel_link_ctl(struct tunnel_link *l, uint16_t channel,
		    const struct tunnel_ctl *ctl) _must_check_;
/* Our end is done with the channel; what the peer still sends is discarded. "" = normal. Refuses an
 * open of the peer's that was not answered yet. */
int tunnel_link_close(struct tunnel_link *l, uint16_t channel, const char *reason) _must_check_;
/* Per-channel pointer for the owner; also there inside closed(). NULL for no such channel. */
void tunnel_link_set_data(struct tunnel_link *l, uint16_t channel, void *data);
void *tunnel_link_get_data(const struct tunnel_link *l, uint16_t channel);
