/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WebSocket frames by wslay.
 *
 * Theory of operation: wslay pulls its input and pushes its output through callbacks. During a call
 * here `in`, `payload` and `out` stand in struct ws for them. wslay reads at most WS_STEP_MAX bytes
 * at once, so payload that had room before a read has room for all that comes of it.
 */
#include "ws.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

#include "cleanup.h"
#include "clock.h"
#include "parse.h"

struct ws {
	wslay_event_context_ptr event;
	struct buf *in, *payload, *out;
	bool control; /* a control frame is coming in */
	bool text;
	bool ended; /* the close frame was ours, not wslay's */
	enum ws_role role;
	int error;
};

static ssize_t on_recv(wslay_event_context_ptr event, uint8_t *p, size_t len, int flags, void *user)
{
	struct ws *w = user;
	size_t n = MIN(len, buf_len(w->in));

	if (w->text || n == 0 || buf_room(w->payload) < WS_STEP_MAX) {
		wslay_event_set_error(event, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	n = MIN(n, (size_t)WS_STEP_MAX);
	memcpy(p, buf_data(w->in), n);
	buf_consume(w->in, n);
	return n;
}

static ssize_t on_send(wslay_event_context_ptr event, const uint8_t *p, size_t len, int flags,
		       void *user)
{
	struct ws *w = user;
	int r = buf_append(w->out, p, len);

	if (r < 0) {
		w->error = r;
		wslay_event_set_error(event, WSLAY_ERR_CALLBACK_FAILURE);
		return -1;
	}
	return len;
}

static int on_mask(wslay_event_context_ptr event, uint8_t *p, size_t len, void *user)
{
	random_bytes(p, len);
	return 0;
}

static void on_frame_start(wslay_event_context_ptr event,
			   const struct wslay_event_on_frame_recv_start_arg *arg, void *user)
{
	struct ws *w = user;

	w->control = wslay_is_ctrl_frame(arg->opcode);
	if (arg->opcode == WSLAY_TEXT_FRAME) {
		w->text = true;
	}
}

static void on_frame_chunk(wslay_event_context_ptr event,
			   const struct wslay_event_on_frame_recv_chunk_arg *arg, void *user)
{
	struct ws *w = user;

	if (!w->control && !w->text && w->error == 0) {
		w->error = buf_append(w->payload, arg->data, arg->data_length);
	}
}

static const struct wslay_event_callbacks callbacks = {
	.recv_callback = on_recv,
	.send_callback = on_send,
	.genmask_callback = on_mask,
	.on_frame_recv_start_callback = on_frame_start,
	.on_frame_recv_chunk_callback = on_frame_chunk,
};

int ws_new(enum ws_role role, struct ws **ret)
{
	struct ws *w = calloc(1, sizeof(*w));
	int r;

	if (!w) {
		return -ENOMEM;
	}
	if (role == WS_SERVER) {
		r = wslay_event_context_server_init(&w->event, &callbacks, w);
	} else {
		r = wslay_event_context_client_init(&w->event, &callbacks, w);
	}
	if (r != 0) {
		free(w);
		return -ENOMEM;
	}
	w->role = role;
	/* Messages are passed on as they come and never gathered, so their length does not matter.
	 */
	wslay_event_config_set_no_buffering(w->event, 1);
	wslay_event_config_set_max_recv_msg_length(w->event, INT64_MAX);
	*ret = w;
	return 0;
}

struct ws *ws_free(struct ws *w)
{
	if (w) {
		wslay_event_context_free(w->event);
		free(w);
	}
	return NULL;
}

/* Moves what wslay has queued to `out`. */
static int drain(struct ws *w, struct buf *out)
{
	int r;

	w->out = out;
	w->error = 0;
	r = wslay_event_send(w->event);
	w->out = NULL;
	if (r == WSLAY_ERR_NOMEM) {
		return -ENOMEM;
	}
	return r != 0 ? (w->error < 0 ? w->error : -EPIPE) : 0;
}

/* For a frame that cannot be: wslay would close without a code. */
static int end_of_protocol(struct ws *w, struct buf *out)
{
	uint8_t frame[8] = { 0x88, 2 };
	size_t len = 2;

	if (w->role == WS_CLIENT) {
		frame[1] |= 0x80; /* masked, with zeros: there is nothing in it to hide */
		len += 4;
	}
	frame[len++] = WS_PROTOCOL >> 8;
	frame[len++] = WS_PROTOCOL & 0xff;
	w->ended = true;
	return buf_append(out, frame, len);
}

int ws_input(struct ws *w, struct buf *in, struct buf *payload, struct buf *out)
{
	int r;

	if (w->ended) {
		return -EPIPE;
	}
	w->in = in;
	w->payload = payload;
	w->error = 0;
	r = wslay_event_recv(w->event);
	w->in = w->payload = NULL;
	if (w->error < 0) {
		return w->error;
	}
	if (r == WSLAY_ERR_NOMEM) {
		return -ENOMEM;
	}
	if (w->text) {
		r = ws_close(w, WS_POLICY, out);
		return r < 0 ? r : -EPIPE;
	}
	if (r == WSLAY_ERR_CALLBACK_FAILURE) {
		r = end_of_protocol(w, out);
		return r < 0 ? r : -EPIPE;
	}
	r = drain(w, out);
	if (r < 0) {
		return r;
	}
	return wslay_event_get_read_enabled(w->event) ? 0 : -EPIPE;
}

unsigned ws_peer_code(const struct ws *w)
{
	unsigned code;

	if (!wslay_event_get_close_received(w->event)) {
		return 0;
	}
	code = wslay_event_get_status_code_received(w->event);
	return code == WSLAY_CODE_NO_STATUS_RCVD ? 0 : code;
}

static int queue(struct ws *w, uint8_t opcode, const void *p, size_t len, struct buf *out)
{
	const struct wslay_event_msg message = { .opcode = opcode, .msg = p, .msg_length = len };
	int r;

	if (w->ended) {
		return -EPIPE;
	}
	if (buf_room(out) < len + WS_OVERHEAD) {
		return -ENOBUFS;
	}
	r = wslay_event_queue_msg(w->event, &message);
	if (r != 0) {
		return r == WSLAY_ERR_NOMEM ? -ENOMEM : -EPIPE;
	}
	return drain(w, out);
}

int ws_send(struct ws *w, const void *p, size_t len, struct buf *out)
{
	return queue(w, WSLAY_BINARY_FRAME, p, len, out);
}

int ws_ping(struct ws *w, struct buf *out)
{
	return queue(w, WSLAY_PING, NULL, 0, out);
}

int ws_close(struct ws *w, enum ws_code code, struct buf *out)
{
	if (w->ended || wslay_event_get_close_sent(w->event)) {
		return 0;
	}
	if (wslay_event_queue_close(w->event, code, NULL, 0) == WSLAY_ERR_NOMEM) {
		return -ENOMEM;
	}
	return drain(w, out);
}

int ws_accept_key(const char *key, size_t key_len, char out[WS_ACCEPT_LEN + 1])
{
	static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	_cleanup_free_ uint8_t *raw = NULL;
	_cleanup_free_ char *text = NULL;
	uint8_t joined[24 + sizeof(magic) - 1], digest[20];
	size_t raw_len;

	if (key_len != 24 || base64_decode(key, key_len, &raw, &raw_len) < 0 || raw_len != 16) {
		return -EINVAL;
	}
	memcpy(joined, key, key_len);
	memcpy(joined + key_len, magic, sizeof(magic) - 1);
	if (gnutls_hash_fast(GNUTLS_DIG_SHA1, joined, sizeof(joined), digest) < 0) {
		return -ENOMEM;
	}
	text = base64_encode(digest, sizeof(digest));
	if (!text) {
		return -ENOMEM;
	}
	memcpy(out, text, WS_ACCEPT_LEN + 1);
	return 0;
}
