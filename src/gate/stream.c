/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A WebSocket to a relay: the ticket is redeemed at dvmd, which names the relay's socket; the relay
 * checks the same ticket; then bytes pass without being understood.
 */
#include <errno.h>
#include <string.h>

#include "answer.h"
#include "cleanup.h"
#include "clock.h"
#include "conn.h"
#include "fd_pass.h"
#include "unix.h"

#define PATH_PREFIX "/v1/streams/"
#define TUNNEL_PROTOCOL "dvm.tunnel.v1"
#define RAW_PROTOCOL "binary"
#define RPC_TIMEOUT (10 * USEC_PER_SEC)
#define PING_INTERVAL (30 * USEC_PER_SEC)
#define SILENCE_MAX (75 * USEC_PER_SEC)

bool stream_is_wanted(const struct http_head *head)
{
	return head->target_len >= strlen(PATH_PREFIX) &&
	       memcmp(head->target, PATH_PREFIX, strlen(PATH_PREFIX)) == 0;
}

/* The first line of a relay's socket and dvmd's answer both carry it: nothing but these characters
 * may. */
static bool ticket_valid(const char *p, size_t len)
{
	if (len != TICKET_LEN) {
		return false;
	}
	for (size_t i = 0; i < len; i++) {
		if (!memchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
			    p[i], 64)) {
			return false;
		}
	}
	return true;
}

static bool has_token(const struct http_head *head, const char *name, const char *token)
{
	for (size_t i = 0; i < head->n_fields; i++) {
		const struct http_field *f = &head->fields[i];

		if (f->name_len == strlen(name) && strncasecmp(f->name, name, f->name_len) == 0 &&
		    http_field_has_token(f, token)) {
			return true;
		}
	}
	return false;
}

static int check(struct conn *c, const struct http_head *head, struct fault *f)
{
	const char *ticket = head->target + strlen(PATH_PREFIX);
	const struct http_field *version = http_head_field(head, "Sec-WebSocket-Version");
	const struct http_field *key = http_head_field(head, "Sec-WebSocket-Key");

	if (head->method_len != 3 || memcmp(head->method, "GET", 3) != 0 || head->minor != 1 ||
	    head->chunked || head->content_length > 0 || !has_token(head, "Upgrade", "websocket") ||
	    !has_token(head, "Connection", "upgrade")) {
		fault_set(f, FAULT_BAD_REQUEST, "Streams are WebSockets.");
		fault_hint(f, "Use `dvm console` or `dvm proxy`, or any WebSocket client.");
		return -EREMOTEIO;
	}
	if (!version || version->value_len != 2 || memcmp(version->value, "13", 2) != 0 || !key ||
	    ws_accept_key(key->value, key->value_len, c->accept) < 0) {
		return fault_set(f, FAULT_BAD_REQUEST, "Not a WebSocket handshake of version 13.");
	}
	if (!ticket_valid(ticket, head->target_len - strlen(PATH_PREFIX))) {
		return fault_set(f, FAULT_TICKET_INVALID, "This is no ticket.");
	}
	memcpy(c->ticket, ticket, TICKET_LEN);
	c->offers_tunnel = has_token(head, "Sec-WebSocket-Protocol", TUNNEL_PROTOCOL);
	c->offers_binary = has_token(head, "Sec-WebSocket-Protocol", RAW_PROTOCOL);
	return 0;
}

/* Of ".../relay/NAME/stream.sock" what leads there from our working folder; NULL if it is anything
 * else. */
static const char *relay_path(const char *path)
{
	static const char prefix[] = "relay/", suffix[] = "/stream.sock";
	size_t len = strlen(path), name_len = 0;
	const char *start;

	if (len < strlen(suffix) || strcmp(path + len - strlen(suffix), suffix) != 0) {
		return NULL;
	}
	start = path + len - strlen(suffix);
	while (start > path && (start[-1] == '-' || (start[-1] >= '0' && start[-1] <= '9') ||
				(start[-1] >= 'a' && start[-1] <= 'z'))) {
		start--;
		name_len++;
	}
	if (name_len == 0 || start - path < (ssize_t)strlen(prefix) ||
	    memcmp(start - strlen(prefix), prefix, strlen(prefix)) != 0) {
		return NULL;
	}
	return start - strlen(prefix);
}

static int join(struct conn *c, const json_t *result, struct fault *f)
{
	const char *path = json_string_value(json_object_get(result, "path"));
	int r, fd;

	path = path ? relay_path(path) : NULL;
	if (!path) {
		return fault_set(f, FAULT_PROTOCOL, "The ticket leads nowhere.");
	}
	c->raw = json_is_true(json_object_get(result, "raw"));
	if (!c->raw && !c->offers_tunnel) {
		fault_set(f, FAULT_BAD_REQUEST, "The ticket is for a stream in frames.");
		fault_hint(f,
			   "Offer the subprotocol " TUNNEL_PROTOCOL ", or ask for a raw ticket.");
		return -EREMOTEIO;
	}
	if (unix_connect(path, &fd) < 0) {
		return fault_set(f, FAULT_RELAY_LOST, "The stream's relay is away.");
	}
	r = conn_set_up_take(c, fd);
	if (r == 0) {
		r = buf_printf(&c->up_out, "DVM1 %s\n", c->ticket);
	}
	return r < 0 ? fault_set(f, FAULT_INTERNAL, "Out of memory.") : 0;
}

static void on_redeemed(const json_t *result, const struct fault *fault, int *fds, size_t n_fds,
			void *user)
{
	struct conn *c = user;
	struct fault f;

	if (c->state != CONN_TICKET) {
		return; /* ended meanwhile: the call was cancelled */
	}
	if (fault) {
		conn_refuse(c, fault);
	} else if (join(c, result, &f) < 0) {
		conn_refuse(c, &f);
	} else {
		c->dvmd = rpc_peer_free(c->dvmd);
		conn_set_state(c, CONN_JOIN);
	}
	conn_run(c);
}

/* dvmd has nothing to ask the gate. */
static void on_call(struct rpc_peer *p, struct rpc_request *r, const char *method, json_t *params,
		    int *fds, size_t n_fds, void *user)
{
	struct fault f;

	fault_set(&f, FAULT_NOT_SUPPORTED, "The gate takes no calls.");
	rpc_request_fault(r, &f);
}

static void on_notice(struct rpc_peer *p, const char *method, json_t *params, void *user)
{
}

/* The open call has had its fault already. */
static void on_closed(struct rpc_peer *p, void *user)
{
}

static const struct rpc_peer_ops dvmd_ops = { .call = on_call,
					      .notice = on_notice,
					      .closed = on_closed };

static int redeem(struct conn *c)
{
	int r, fd;

	r = unix_connect(GATE_TICKET_SOCKET, &fd);
	if (r == 0) {
		r = rpc_peer_new_take(c->gate->event, fd, &dvmd_ops, c, &c->dvmd);
	}
	if (r == 0) {
		r = rpc_peer_call(c->dvmd, "hello",
				  json_pack("{s:i,s:s}", "protocol", 1, "program", "dvm-gate"),
				  NULL, 0, 0, NULL, NULL);
	}
	if (r == 0) {
		r = rpc_peer_call(c->dvmd, "ticket.redeem", json_pack("{s:s}", "ticket", c->ticket),
				  NULL, 0, RPC_TIMEOUT, on_redeemed, c);
	}
	return r;
}

void stream_begin(struct conn *c, const struct http_head *head, size_t head_len)
{
	struct fault fault;

	if (check(c, head, &fault) < 0) {
		conn_refuse(c, &fault);
		return;
	}
	if (redeem(c) < 0) {
		fault_set(&fault, FAULT_HOST_AWAY, "The service is away or just starting.");
		conn_refuse(c, &fault);
		return;
	}
	buf_consume(&c->in, head_len);
	conn_set_state(c, CONN_TICKET);
}

static bool refuse_join(struct conn *c, enum fault_code code, const char *text)
{
	struct fault fault;

	fault_set(&fault, code, "%s", text);
	conn_refuse(c, &fault);
	return true;
}

/* What the relay has said so far, and the fd that came with it. */
static ssize_t line_receive(struct conn *c, int *ret_fd)
{
	int fds[FD_PASS_MAX];
	size_t n_fds = 0;
	uint8_t *p;
	ssize_t n;
	int r;

	r = buf_reserve(&c->line, buf_room(&c->line), &p);
	if (r < 0) {
		return r;
	}
	n = fd_pass_receive(c->up_fd, p, buf_room(&c->line), fds, &n_fds);
	if (n > 0) {
		buf_commit(&c->line, (size_t)n);
	}
	*ret_fd = n_fds > 0 ? fds[0] : -1;
	for (size_t i = 1; i < n_fds; i++) {
		close_fd(fds[i]);
	}
	return n;
}

/* Whether the relay serves what the ticket was for, in the stream's own socket or not. */
static bool line_expected(const struct conn *c, const char *line, bool with_socket)
{
	if (with_socket) {
		return c->raw && strcmp(line, "OK socket") == 0;
	}
	return strcmp(line, c->raw ? "OK raw" : "OK frames") == 0;
}

static bool join_step(struct conn *c)
{
	const char *protocol = c->raw ? (c->offers_binary ? RAW_PROTOCOL : NULL) : TUNNEL_PROTOCOL;
	_cleanup_close_ int fd = -1;
	bool moved = conn_flush_up(c);
	char *text, *end;
	size_t rest;
	ssize_t n;
	int r;

	n = line_receive(c, &fd);
	if (n == -EAGAIN) {
		return moved;
	}
	if (n <= 0) {
		return refuse_join(c, FAULT_RELAY_LOST, "The stream's relay is away.");
	}
	text = (char *)buf_data(&c->line);
	end = memchr(text, '\n', buf_len(&c->line));
	if (!end) {
		return buf_room(&c->line) > 0 && fd < 0
			       ? true
			       : refuse_join(c, FAULT_PROTOCOL, "The relay talks nonsense.");
	}
	*end = '\0';
	if (strncmp(text, "NO ", 3) == 0) {
		return refuse_join(c, fault_code_parse(text + 3), "The stream was refused.");
	}
	if (!line_expected(c, text, fd >= 0)) {
		return refuse_join(c, FAULT_PROTOCOL, "The relay talks nonsense.");
	}
	if (fd >= 0 && conn_hold_up_take(c, TAKE_FD(fd)) < 0) {
		return refuse_join(c, FAULT_INTERNAL, "Out of memory.");
	}
	r = answer_switch(&c->out, c->accept, protocol, c->request_id);
	if (r == 0) {
		r = ws_new(WS_SERVER, &c->ws);
	}
	rest = buf_len(&c->line) - (end + 1 - text);
	if (r == 0 && rest > 0) {
		r = ws_send(c->ws, end + 1, rest, &c->out);
	}
	buf_fini(&c->line);
	c->heard = clock_monotonic();
	c->next_ping = c->heard + PING_INTERVAL;
	conn_set_state(c, r < 0 ? CONN_DEAD : CONN_STREAM);
	return true;
}

void stream_close(struct conn *c, enum ws_code code)
{
	conn_set_state(c, ws_close(c->ws, code, &c->out) < 0 ? CONN_DEAD : CONN_FLUSH);
}

void stream_ping(struct conn *c, usec_t now)
{
	bool listening = buf_room(&c->in) > 0;

	c->next_ping = now + PING_INTERVAL;
	if (listening && now - c->heard > SILENCE_MAX) {
		conn_set_state(c, CONN_DEAD);
		return;
	}
	/* A quiet stream gives its memory back. */
	if (buf_len(&c->in) == 0) {
		buf_fini(&c->in);
	}
	if (buf_len(&c->up_out) == 0) {
		buf_fini(&c->up_out);
	}
	if (buf_len(&c->out) > 0) {
		return; /* it is not quiet, and the ping would only queue up behind */
	}
	buf_fini(&c->out);
	if (ws_ping(c->ws, &c->out) < 0) {
		conn_set_state(c, CONN_DEAD);
	}
}

/* From the user to the relay. */
static bool stream_up(struct conn *c)
{
	size_t before = buf_len(&c->in);
	int r = 0;

	if (before > 0 && !c->closing && buf_len(&c->out) < CONN_OUT_HIGH) {
		r = ws_input(c->ws, &c->in, &c->up_out, &c->out);
	}
	if (r == -EPIPE) {
		c->closing = true;
		c->since = clock_monotonic();
	} else if (r < 0) {
		conn_set_state(c, CONN_DEAD);
		return true;
	}
	return conn_flush_up(c) || buf_len(&c->in) != before;
}

/* From the relay to the user. */
static bool stream_down(struct conn *c)
{
	uint8_t bytes[CONN_READ_MAX];
	ssize_t n;

	if (c->closing || buf_len(&c->out) >= CONN_OUT_HIGH) {
		return false;
	}
	n = read(c->up_fd, bytes, sizeof(bytes));
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return false;
	}
	if (n > 0) {
		if (ws_send(c->ws, bytes, n, &c->out) < 0) {
			conn_set_state(c, CONN_DEAD);
		}
	} else {
		stream_close(c, n == 0 ? WS_NORMAL : WS_INTERNAL);
	}
	return true;
}

bool stream_step(struct conn *c)
{
	bool moved;

	if (c->state == CONN_JOIN) {
		return join_step(c);
	}
	moved = stream_up(c);
	if (c->state == CONN_STREAM) {
		moved |= stream_down(c);
	}
	if (c->state != CONN_STREAM) {
		return true;
	}
	/* Nothing more comes from the user: it ends when the relay has had all of it. */
	if ((c->closing || (c->in_end && buf_len(&c->in) == 0)) && buf_len(&c->up_out) == 0) {
		conn_set_state(c, c->in_end ? CONN_DEAD : CONN_FLUSH);
		return true;
	}
	return moved;
}
