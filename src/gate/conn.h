/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection from outside.
 *
 * Theory of operation: bytes flow through two queues on the user's side, `in` (decrypted, not yet
 *looked at) and `out` (to be encrypted), and one towards what stands behind, `up_out`. conn_run()
 *is called whenever something happened: it moves what can be moved until nothing moves any more,
 *then works out from the state what to poll for. A queue that is full stops the reading that fills
 *it; that is all the flow control there is.
 *
 *	HANDSHAKE -> HEAD -+-> PASS ---------------------+-> FLUSH -> LINGER -> DEAD
 *	                   +-> TICKET -> JOIN -> STREAM -+
 *
 * FLUSH is also where an answer of our own goes out from any state before it. LINGER reads and
 *forgets what the user still sends, so that the kernel does not reset the connection before he has
 *read the answer.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

#include "buf.h"
#include "fault.h"
#include "gate.h"
#include "http_head.h"
#include "list.h"
#include "rpc_peer.h"
#include "tls.h"
#include "ws.h"

enum conn_state {
	CONN_HANDSHAKE,
	CONN_HEAD,
	CONN_PASS,   /* a request is passed to dvmd, its answer back */
	CONN_TICKET, /* dvmd is asked what the ticket is for */
	CONN_JOIN,   /* the relay is told the ticket */
	CONN_STREAM,
	CONN_FLUSH,
	CONN_LINGER,
	CONN_DEAD,
	_CONN_STATE_MAX,
};

#define TICKET_LEN 43
#define REQUEST_ID_MAX 36
#define ADDRESS_KEY_LEN 16

/* The queue towards the user: reading from behind stops at OUT_HIGH, the rest is for what cannot
 * wait. */
#define CONN_OUT_HIGH (128 * 1024)
#define CONN_OUT_MAX (256 * 1024)
#define CONN_IN_MAX (64 * 1024)
#define CONN_UP_MAX (64 * 1024)
#define CONN_READ_MAX (64 * 1024)
#define CONN_LINE_MAX 64

struct conn {
	struct list link;
	struct gate *gate;
	enum conn_state state;
	uint8_t address[ADDRESS_KEY_LEN]; /* IPv4-mapped, or the first 8 bytes of IPv6 */
	char request_id[REQUEST_ID_MAX + 1];

	int fd;
	struct tls_conn *tls;
	sd_event_source *io, *timer, *again;
	uint32_t io_events;
	struct buf in, out;
	bool in_end; /* the user sends no more */

	int up_fd; /* dvmd or the relay; -1: none */
	sd_event_source *up_io;
	uint32_t up_events;
	struct buf up_out;
	bool up_broken; /* nothing more is taken there */
	bool up_talked; /* something came from there */

	/* STREAM: where the relay has handed the stream's own socket over, which is `up_fd` then,
	 * the connection to the relay: for as long as it stands. -1: none */
	int hold_fd;
	sd_event_source *hold_io;

	usec_t since;	 /* when the state was entered, or the user ended his side */
	usec_t moved;	 /* when `out` was last empty or became shorter */
	usec_t deadline; /* what the timer is set to */

	uint64_t body_left; /* PASS */

	/* TICKET, JOIN, STREAM */
	char ticket[TICKET_LEN + 1], accept[WS_ACCEPT_LEN + 1];
	bool offers_tunnel, offers_binary, raw;
	struct rpc_peer *dvmd;
	struct ws *ws;
	struct buf line; /* the relay's first line */
	usec_t heard;	 /* when the user's side last said anything */
	usec_t next_ping;
	bool closing; /* the user has closed the WebSocket */
};

/* Takes `fd`. */
int conn_new_take(struct gate *g, int fd, const uint8_t address[ADDRESS_KEY_LEN],
		  struct conn **ret) _must_check_;
struct conn *conn_free(struct conn *c);
/* The gate ends: what is open is closed in good manner. */
void conn_drain(struct conn *c);

/* For the parts below. */
void conn_run(struct conn *c);
void conn_set_state(struct conn *c, enum conn_state state);
/* Answers with a fault instead of what was asked for, then ends. */
void conn_refuse(struct conn *c, const struct fault *f);
/* Takes the connection behind. */
int conn_set_up_take(struct conn *c, int fd) _must_check_;
/* The connection behind becomes the one to hold while `fd`, taken, is in its place. */
int conn_hold_up_take(struct conn *c, int fd) _must_check_;
/* Writes `up_out`. Moved something: true. */
bool conn_flush_up(struct conn *c);

/* pass.c: a request for dvmd. */
void pass_begin(struct conn *c, struct http_head *head, size_t head_len);
bool pass_step(struct conn *c);

/* stream.c: a WebSocket to a relay. */
bool stream_is_wanted(const struct http_head *head);
void stream_begin(struct conn *c, const struct http_head *head, size_t head_len);
bool stream_step(struct conn *c);
void stream_ping(struct conn *c, usec_t now);
void stream_close(struct conn *c, enum ws_code code);
