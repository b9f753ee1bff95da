/* SPDX-License-Identifier: Apache-2.0 */
/* A WebSocket to the gate. */
#include "ws_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "clock.h"
#include "macro.h"
#include "parse.h"
#include "transport.h"
#include "ws.h"

#define HANDSHAKE_TIMEOUT (15 * USEC_PER_SEC)
#define HEAD_MAX (16 * 1024)
#define ANSWER_MAX (64 * 1024)
#define RAW_MAX (64 * 1024)	 /* not decoded yet */
#define IN_MAX (256 * 1024)	 /* decoded, not consumed yet */
#define OUT_MAX (256 * 1024)	 /* encoded, not sent yet */
#define CONTROL_ROOM (16 * 1024) /* of OUT_MAX, for answers to pings */
#define READ_MAX (16 * 1024)

struct ws_client {
	const struct config *config;
	CURL *curl;
	char error[CURL_ERROR_SIZE];
	int fd;
	struct ws *ws;
	struct buf raw, in, out;
	bool ended;
};

DEFINE_CLEANUP(struct ws_client *, ws_client_free);
DEFINE_CLEANUP(CURLU *, curl_url_cleanup);
DEFINE_CLEANUP(char *, curl_free);

/* The socket's own watch over a peer that is gone: within about a minute, idle or not. */
static int set_socket_options(void *user, curl_socket_t fd, curlsocktype purpose)
{
	const int on = 1, idle_s = 30, interval_s = 10, count = 3;
	const unsigned timeout_ms = 60000;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
	return CURL_SOCKOPT_OK;
}

static int dial(struct ws_client *c, struct fault *fault)
{
	curl_socket_t fd = CURL_SOCKET_BAD;
	CURLcode code;

	if (transport_set_up(c->curl, c->config, c->config->url, c->error) < 0) {
		return -ENOMEM;
	}
	curl_easy_setopt(c->curl, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(c->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c->curl, CURLOPT_SOCKOPTFUNCTION, set_socket_options);
	code = curl_easy_perform(c->curl);
	if (code == CURLE_OK) {
		code = curl_easy_getinfo(c->curl, CURLINFO_ACTIVESOCKET, &fd);
	}
	if (code != CURLE_OK) {
		return transport_fault(c->config, code, c->error, fault);
	}
	c->fd = fd;
	return 0;
}

/* 1: moved something; 0: not now; -errno */
static int flush(struct ws_client *c)
{
	int moved = 0;

	while (buf_len(&c->out) > 0) {
		size_t n = 0;
		CURLcode code = curl_easy_send(c->curl, buf_data(&c->out), buf_len(&c->out), &n);

		if (code == CURLE_AGAIN) {
			break;
		}
		if (code != CURLE_OK) {
			return -ECONNRESET;
		}
		buf_consume(&c->out, n);
		moved = 1;
	}
	return moved;
}

static int fill(struct ws_client *c)
{
	size_t room = MIN(buf_room(&c->raw), (size_t)READ_MAX), n = 0;
	CURLcode code;
	uint8_t *p;

	if (room == 0) {
		return 0;
	}
	if (buf_reserve(&c->raw, room, &p) < 0) {
		return -ENOMEM;
	}
	code = curl_easy_recv(c->curl, p, room, &n);
	if (code == CURLE_AGAIN) {
		return 0;
	}
	if (code != CURLE_OK || n == 0) {
		return -ECONNRESET;
	}
	buf_commit(&c->raw, n);
	return 1;
}

static int wait_for(struct ws_client *c, usec_t deadline)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN | (buf_len(&c->out) > 0 ? POLLOUT : 0) };
	usec_t now = clock_monotonic();

	if (now >= deadline) {
		return -ETIMEDOUT;
	}
	return poll(&p, 1, (int)((deadline - now) / USEC_PER_MSEC) + 1) < 0 && errno != EINTR
		       ? -errno
		       : 0;
}

/* What an Origin or a Host field wants: the authority of our URL. */
static int authority(const char *url, char **ret)
{
	_cleanup_(curl_url_cleanupp) CURLU *u = curl_url();
	_cleanup_(curl_freep) char *host = NULL;
	_cleanup_(curl_freep) char *port = NULL;

	if (!u || curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK) {
		return -ENOMEM;
	}
	if (curl_url_get(u, CURLUPART_PORT, &port, 0) == CURLUE_OK) {
		*ret = strf("%s:%s", host, port);
	} else {
		*ret = strdup(host);
	}
	return *ret ? 0 : -ENOMEM;
}

static int request(struct ws_client *c, const char *path, const char *protocol,
		   char accept[WS_ACCEPT_LEN + 1])
{
	_cleanup_free_ char *host = NULL, *key = NULL;
	uint8_t nonce[16];
	int r;

	random_bytes(nonce, sizeof(nonce));
	key = base64_encode(nonce, sizeof(nonce));
	if (!key) {
		return -ENOMEM;
	}
	r = ws_accept_key(key, strlen(key), accept);
	if (r == 0) {
		r = authority(c->config->url, &host);
	}
	if (r == 0) {
		r = buf_printf(&c->out,
			       "GET %s HTTP/1.1\r\n"
			       "Host: %s\r\n"
			       "User-Agent: dvm\r\n"
			       "Upgrade: websocket\r\n"
			       "Connection: Upgrade\r\n"
			       "Sec-WebSocket-Version: 13\r\n"
			       "Sec-WebSocket-Key: %s\r\n",
			       path, host, key);
	}
	if (r == 0 && protocol) {
		r = buf_printf(&c->out, "Sec-WebSocket-Protocol: %s\r\n", protocol);
	}
	return r < 0 ? r : buf_append(&c->out, "\r\n", 2);
}

/* Reads until the head is whole; its length, or -errno. */
static ssize_t read_head(struct ws_client *c, usec_t deadline)
{
	for (;;) {
		const char *end = buf_len(&c->raw) > 0 ? memmem(buf_data(&c->raw), buf_len(&c->raw),
								"\r\n\r\n", 4)
						       : NULL;
		int r;

		if (end) {
			return end + 4 - (const char *)buf_data(&c->raw);
		}
		if (buf_len(&c->raw) > HEAD_MAX) {
			return -EPROTO;
		}
		r = flush(c);
		if (r >= 0) {
			r = fill(c);
		}
		if (r == 0) {
			r = wait_for(c, deadline);
		}
		if (r < 0) {
			return r;
		}
	}
}

/* True where a field of the head has exactly this value. */
static bool head_says(const char *head, const char *name, const char *value)
{
	for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
		const char *p = line + 2;

		if (strncasecmp(p, name, strlen(name)) == 0 && p[strlen(name)] == ':') {
			p += strlen(name) + 1;
			p += strspn(p, " \t");
			return strncasecmp(p, value, strlen(value)) == 0 &&
			       p[strlen(value)] == '\r';
		}
	}
	return false;
}

/* The answer is no stream: its body, to the end of the connection, says why. */
static int refused(struct ws_client *c, size_t head_len, long status, usec_t deadline,
		   struct fault *fault)
{
	int r = 0;

	buf_consume(&c->raw, head_len);
	while (r >= 0 && buf_len(&c->raw) < ANSWER_MAX) {
		r = fill(c);
		if (r == 0) {
			r = wait_for(c, deadline);
		}
	}
	return transport_problem(&c->raw, status, fault);
}

static int upgrade(struct ws_client *c, const char *path, const char *protocol, struct fault *fault)
{
	usec_t deadline = clock_monotonic() + HANDSHAKE_TIMEOUT;
	char accept[WS_ACCEPT_LEN + 1];
	_cleanup_free_ char *head = NULL;
	ssize_t head_len;
	int r;

	r = request(c, path, protocol, accept);
	if (r < 0) {
		return r;
	}
	head_len = read_head(c, deadline);
	if (head_len == -ETIMEDOUT) {
		return fault_set(fault, FAULT_TIMEOUT, "no answer from %s in time",
				 config_server(c->config));
	}
	if (head_len < 0) {
		return head_len == -ENOMEM
			       ? -ENOMEM
			       : transport_fault(c->config, CURLE_RECV_ERROR, "", fault);
	}
	head = strndup((const char *)buf_data(&c->raw), head_len);
	if (!head) {
		return -ENOMEM;
	}
	if (strncmp(head, "HTTP/1.1 ", 9) != 0) {
		return fault_set(fault, FAULT_PROTOCOL, "the server at %s does not speak HTTP",
				 config_server(c->config));
	}
	if (strncmp(head + 9, "101 ", 4) != 0) {
		return refused(c, head_len, strtol(head + 9, NULL, 10), deadline, fault);
	}
	if (!head_says(head, "Upgrade", "websocket") ||
	    !head_says(head, "Sec-WebSocket-Accept", accept) ||
	    (protocol && !head_says(head, "Sec-WebSocket-Protocol", protocol))) {
		return fault_set(fault, FAULT_PROTOCOL, "the server at %s opens no such stream",
				 config_server(c->config));
	}
	buf_consume(&c->raw, head_len);
	return 0;
}

int ws_client_open(const struct config *config, const char *path, const char *protocol,
		   struct ws_client **ret, struct fault *fault)
{
	_cleanup_(ws_client_freep) struct ws_client *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		return -ENOMEM;
	}
	c->config = config;
	c->fd = -1;
	buf_init(&c->raw, RAW_MAX);
	buf_init(&c->in, IN_MAX);
	buf_init(&c->out, OUT_MAX);
	c->curl = curl_easy_init();
	if (!c->curl || ws_new(WS_CLIENT, &c->ws) < 0) {
		return -ENOMEM;
	}
	r = dial(c, fault);
	if (r == 0) {
		r = upgrade(c, path, protocol, fault);
	}
	if (r < 0) {
		return r;
	}
	*ret = TAKE_PTR(c);
	return 0;
}

struct ws_client *ws_client_free(struct ws_client *c)
{
	if (c) {
		ws_free(c->ws);
		curl_easy_cleanup(c->curl);
		buf_fini(&c->raw);
		buf_fini(&c->in);
		buf_fini(&c->out);
		free(c);
	}
	return NULL;
}

int ws_client_fd(const struct ws_client *c)
{
	return c->fd;
}

short ws_client_events(const struct ws_client *c)
{
	short events = 0;

	if (!c->ended && buf_room(&c->raw) > 0) {
		events |= POLLIN;
	}
	if (buf_len(&c->out) > 0) {
		events |= POLLOUT;
	}
	return events;
}

int ws_client_pump(struct ws_client *c)
{
	bool moved = true;
	int r;

	while (moved) {
		size_t before = buf_len(&c->raw);

		moved = false;
		r = flush(c);
		if (r < 0) {
			return r;
		}
		/* A peer's pings are only read while there is room for the answers. */
		if (before > 0 && !c->ended && buf_room(&c->out) >= CONTROL_ROOM) {
			r = ws_input(c->ws, &c->raw, &c->in, &c->out);
			if (r == -EPIPE) {
				c->ended = true;
				flush(c); /* our half of the good-bye, if it goes */
			} else if (r < 0) {
				return r;
			}
			moved = buf_len(&c->raw) != before;
		}
		if (c->ended) {
			return -EPIPE;
		}
		r = fill(c);
		if (r < 0) {
			return r;
		}
		moved |= r > 0;
	}
	return 0;
}

unsigned ws_client_code(const struct ws_client *c)
{
	return ws_peer_code(c->ws);
}

struct buf *ws_client_in(struct ws_client *c)
{
	return &c->in;
}

size_t ws_client_room(const struct ws_client *c)
{
	size_t room = buf_room(&c->out);

	return room > CONTROL_ROOM + WS_OVERHEAD ? room - CONTROL_ROOM - WS_OVERHEAD : 0;
}

int ws_client_send(struct ws_client *c, const void *p, size_t len)
{
	return len <= ws_client_room(c) ? ws_send(c->ws, p, len, &c->out) : -ENOBUFS;
}

int ws_client_close(struct ws_client *c)
{
	return ws_close(c->ws, WS_NORMAL, &c->out);
}
