/* SPDX-License-Identifier: Apache-2.0 */
/* What tunnel_link.c (start, input, output) and tunnel_channel.c (the owner's calls) share. */
#pragma once

#include "tunnel_link.h"

/* DATA leaves this much of the output to all other frames. */
#define LINK_OUTPUT_RESERVE (64 * 1024)
#define LINK_DATA_OVERHEAD (TUNNEL_HEADER_BYTES + 8)

enum channel_state {
	CHANNEL_ASKED,	/* our OPEN waits for the peer's answer */
	CHANNEL_ASKING, /* the peer's OPEN waits for ours */
	CHANNEL_OPEN,
};

struct channel {
	enum channel_state state;
	uint8_t mode; /* as asked for */
	bool closed;  /* our CLOSE is sent: the owner does not know the channel any more */
	bool ending;  /* closed() runs: the owner may look, not act */
	bool starved; /* wants to send, the output was full */
	bool tx_eof, rx_eof;
	uint64_t tx_offset, tx_limit;
	uint64_t rx_offset, rx_limit; /* CHANNEL_ASKED: rx_limit is the window */
	/* Whether SCREEN may still go, or come; and how much did. Limits above are the wire's,
	 * which count it; the owner's do not. */
	bool tx_screen_due, rx_screen_due;
	uint64_t tx_screen, rx_screen;
	void *data;
};

struct tunnel_link {
	enum tunnel_role role;
	const struct tunnel_link_ops *ops;
	void *user;

	bool up;
	bool portlike;
	bool broken; /* input failed: nothing more is taken */
	bool in_input, in_writable, forgetting;
	bool stop;	 /* reset inside a callback: the rest of the input belongs to the past */
	bool sent_again; /* output was sent inside writable() */
	/* Counts up with each start: a callback that changed it has removed all channels. */
	uint64_t starts;

	uint64_t nonce, peer_nonce; /* peer_nonce 0: not known */
	bool hello_due, flush_due;  /* still to be put at the head of the output */

	struct buf in; /* a frame that came in part */
	struct buf out;
	size_t out_partial; /* bytes left of the frame at the head of `out` that is partly sent */

	/* Numbers are taken in turn, so that a stale one does not hit a new channel. */
	uint16_t last_opened;
	uint16_t last_served;
	/* By number, [0] stays empty. No longer than the numbers in use made it: most links have
	 * one channel, and there are many links. */
	struct channel **channels;
	unsigned n_slots;
};

static inline uint64_t add_saturated(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* Appends a frame, behind a HELLO that is still due. */
int link_put(struct tunnel_link *l, const struct tunnel_frame *frame) _must_check_;
int link_put_reason(struct tunnel_link *l, enum tunnel_type type, uint16_t number,
		    const char *reason) _must_check_;
int link_put_value(struct tunnel_link *l, enum tunnel_type type, uint16_t number,
		   uint64_t value) _must_check_;
/* Bytes of DATA frames, with their headers, that the output takes now. */
size_t link_space(const struct tunnel_link *l);
/* NULL for a number that is free. */
static inline struct channel *channel_at(const struct tunnel_link *l, uint16_t number)
{
	return number < l->n_slots ? l->channels[number] : NULL;
}

/* Under a free number, at most TUNNEL_CHANNEL_LAST. -ENOMEM. */
int channel_put(struct tunnel_link *l, uint16_t number, struct channel *ch) _must_check_;
void channel_drop(struct tunnel_link *l, uint16_t number);
