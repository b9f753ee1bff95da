/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as WebSocket frames, to either end, whole and in pieces: the same payload, the same
 * end, and no more said than the header of ws.h allows. */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "ws.h"

struct end {
	struct ws *ws;
	struct buf in, payload, out;
	int result;
};

static void end_feed(struct end *e, const uint8_t *p, size_t len)
{
	if (e->result < 0) {
		return;
	}
	must(buf_append(&e->in, p, len) == 0);
	while (e->result == 0 && buf_len(&e->in) > 0) {
		size_t had = buf_len(&e->in), said = buf_len(&e->out);

		e->result = ws_input(e->ws, &e->in, &e->payload, &e->out);
		must(buf_len(&e->in) <= had);
		must(buf_len(&e->out) - said <= had + 256);
		must(e->result == 0 || e->result == -EPIPE);
		if (buf_len(&e->in) == had) {
			break;
		}
	}
}

/* Feeds `piece` bytes at a time. */
static void end_run(struct end *e, enum ws_role role, const uint8_t *p, size_t len, size_t piece)
{
	*e = (struct end){ 0 };
	must(ws_new(role, &e->ws) == 0);
	buf_init(&e->in, 1 << 20);
	buf_init(&e->payload, 2 << 20);
	buf_init(&e->out, 4 << 20);
	for (size_t at = 0; at < len; at += piece) {
		end_feed(e, p + at, MIN(piece, len - at));
	}
	/* What was said last is not said again. */
	(void)ws_peer_code(e->ws);
	if (e->result == 0) {
		must(ws_send(e->ws, "x", 1, &e->out) == 0);
		must(ws_ping(e->ws, &e->out) == 0);
	}
	must(ws_close(e->ws, WS_NORMAL, &e->out) == 0);
	must(ws_send(e->ws, "x", 1, &e->out) < 0);
}

static void end_fini(struct end *e)
{
	ws_free(e->ws);
	buf_fini(&e->in);
	buf_fini(&e->payload);
	buf_fini(&e->out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct end whole, pieces;
	enum ws_role role;
	char accept[WS_ACCEPT_LEN + 1];
	size_t piece;

	if (size < 1 || size > 1 << 18) {
		return 0;
	}
	role = data[0] & 1 ? WS_CLIENT : WS_SERVER;
	piece = 1 + (data[0] >> 1);
	data++;
	size--;
	(void)!ws_accept_key((const char *)data, MIN(size, (size_t)24), accept);
	end_run(&whole, role, data, size, MAX(size, (size_t)1));
	end_run(&pieces, role, data, size, piece);
	/* Not the same end: wslay checks the text of a close frame piece by piece. */
	must(buf_len(&whole.payload) == buf_len(&pieces.payload));
	must(buf_len(&whole.payload) == 0 ||
	     memcmp(buf_data(&whole.payload), buf_data(&pieces.payload), buf_len(&whole.payload)) ==
		     0);
	end_fini(&whole);
	end_fini(&pieces);
	return 0;
}
