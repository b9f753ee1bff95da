/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of interfaces/PROTOCOL.tunnel: encode into a buf, decode from bytes. No I/O, no clock. */
#pragma once

#include <stdbool.h>

#include "buf.h"

#define TUNNEL_VERSION 1
#define TUNNEL_HEADER_BYTES 8
#define TUNNEL_PAYLOAD_MAX 65536
#define TUNNEL_DATA_MAX (TUNNEL_PAYLOAD_MAX - 8)
#define TUNNEL_SCREEN_MAX (256 * 1024) /* all pieces of one */
#define TUNNEL_SERVICE_MAX 96
#define TUNNEL_CHANNELS_MAX 256			      /* opened by one side, at once */
#define TUNNEL_CHANNEL_LAST (2 * TUNNEL_CHANNELS_MAX) /* numbers: 1 to this */
#define TUNNEL_HELLO_BYTES (TUNNEL_HEADER_BYTES + 28)
#define TUNNEL_FLUSH_BYTES 65552 /* zeros that end any unfinished frame, see PROTOCOL.tunnel §2 */
#define TUNNEL_FROM_KEPT UINT64_MAX
#define TUNNEL_FROM_LIVE (UINT64_MAX - 1)
#define TUNNEL_FROM_SCREEN (UINT64_MAX - 2) /* the least of the three: offsets are below */

enum tunnel_type {
	TUNNEL_HELLO = 1,
	TUNNEL_OPEN,
	TUNNEL_OPENED,
	TUNNEL_REFUSED,
	TUNNEL_DATA,
	TUNNEL_GAP,
	TUNNEL_CREDIT,
	TUNNEL_EOF,
	TUNNEL_CLOSE,
	TUNNEL_CTL,
	TUNNEL_PING,
	TUNNEL_PONG,
	TUNNEL_SCREEN,
	_TUNNEL_TYPE_MAX,
};

enum tunnel_mode {
	TUNNEL_MODE_READ = 1,
	TUNNEL_MODE_WRITE = 2,
	TUNNEL_MODE_TAKE = 4,
};

enum tunnel_role { TUNNEL_DIALER = 1, TUNNEL_LISTENER = 2 };

enum tunnel_ctl_op {
	TUNNEL_CTL_BREAK = 1,
	TUNNEL_CTL_WINSIZE,
	TUNNEL_CTL_WRITER,
	TUNNEL_CTL_TAKE,
	TUNNEL_CTL_SOURCE,
	TUNNEL_CTL_BROKE,
	TUNNEL_CTL_INPUT,
	TUNNEL_CTL_PACE,
	_TUNNEL_CTL_MAX,
};

struct tunnel_ctl {
	uint8_t op;		/* enum tunnel_ctl_op, or one we do not know */
	uint16_t rows, columns; /* WINSIZE */
	bool on;		/* WRITER, SOURCE, BROKE */
	uint32_t rate;		/* PACE */
	uint64_t id, at;	/* INPUT */
};

/* One decoded frame. `data.bytes` and `screen.bytes` point into the bytes that were decoded. */
struct tunnel_frame {
	enum tunnel_type type;
	uint16_t channel;
	union {
		struct {
			uint16_t version, role;
			uint64_t nonce, echo;
		} hello;
		struct {
			uint64_t from, limit;
			uint8_t mode;
			char service[TUNNEL_SERVICE_MAX + 1];
		} open;
		struct {
			uint64_t start, limit;
			uint8_t mode;
		} opened;
		char reason[64]; /* REFUSED, CLOSE: fault code name, "" = normal */
		struct {
			uint64_t offset;
			const uint8_t *bytes;
			size_t len;
		} data;
		struct {
			bool last;
			const uint8_t *bytes;
			size_t len;
		} screen;
		struct {
			uint64_t offset, length;
		} gap;
		uint64_t value; /* CREDIT limit, EOF offset, PING and PONG cookie */
		struct tunnel_ctl ctl;
	};
};

/* Takes one frame from the head of [p, p+len). Returns 1 and fills *ret_frame and *ret_used; 0 when
 * more bytes are needed; -EPROTO for what the protocol forbids. */
int tunnel_decode(const uint8_t *p, size_t len, struct tunnel_frame *ret_frame,
		  size_t *ret_used) _must_check_;
/* Appends one frame. -ENOBUFS, -ENOMEM as buf_append(); -EINVAL for one that cannot be encoded. */
int tunnel_encode(struct buf *out, const struct tunnel_frame *frame) _must_check_;
/* What stands before the bytes of a DATA frame, for one whose bytes are not copied. */
#define TUNNEL_DATA_HEAD_BYTES (TUNNEL_HEADER_BYTES + 8)
void tunnel_data_head(uint8_t head[TUNNEL_DATA_HEAD_BYTES], uint16_t channel, uint64_t offset,
		      size_t len);
/* Length of the whole frame whose header is at p. */
size_t tunnel_frame_size(const uint8_t header[TUNNEL_HEADER_BYTES]);
/* Bytes at the head of [p, p+len) that cannot be the start of a HELLO frame (see PROTOCOL.tunnel
 * §2). */
size_t tunnel_skip_to_hello(const uint8_t *p, size_t len);
