/* SPDX-License-Identifier: Apache-2.0 */
/* One stream of a relay through the gate. */
#include "stream_client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "cleanup.h"
#include "tunnel_link.h"
#include "ws_client.h"

#define PROTOCOL "dvm.tunnel.v1"
#define OUTPUT_MAX (512 * 1024)
#define SEND_MAX (64 * 1024)
/* Credit is given in steps, so that it costs few frames. */
#define CREDIT_STEP (STREAM_WINDOW / 8)

struct stream_client {
	const struct stream_client_ops *ops;
	void *user;
	struct ws_client *ws;
	struct tunnel_link *link;

	char service[TUNNEL_SERVICE_MAX + 1];
	uint8_t mode;
	uint64_t from;

	uint16_t channel; /* 0: none */
	bool open;	  /* granted */
	bool eof_sent, eof_received;
	bool closed;
	char reason[64];

	uint64_t offset;  /* of the next byte to come */
	uint64_t pending; /* bytes with the caller */
};

/* Keeps the peer's limit at STREAM_WINDOW beyond what the caller has dealt with. */
static int give_credit(struct stream_client *s)
{
	uint64_t limit = s->offset - s->pending + STREAM_WINDOW;

	if (!s->open || s->closed ||
	    limit < tunnel_link_rx_limit(s->link, s->channel) + CREDIT_STEP) {
		return 0;
	}
	return tunnel_link_credit(s->link, s->channel, limit);
}

static void finish(struct stream_client *s, const char *reason)
{
	if (!s->closed) {
		s->closed = true;
		snprintf(s->reason, sizeof(s->reason), "%s", reason);
	}
}

static void on_up(struct tunnel_link *l, void *user)
{
	struct stream_client *s = user;

	if (s->closed ||
	    tunnel_link_open(l, s->service, s->mode, s->from, STREAM_WINDOW, &s->channel) < 0) {
		finish(s, fault_code_name(FAULT_RELAY_LOST));
	}
}

/* Nobody opens anything towards a user's program. */
static void on_open(struct tunnel_link *l, uint16_t channel, const char *service, uint8_t mode,
		    uint64_t from, void *user)
{
	if (tunnel_link_refuse(l, channel, fault_code_name(FAULT_NOT_SUPPORTED)) < 0) {
		finish(user, fault_code_name(FAULT_PROTOCOL));
	}
}

static void on_opened(struct tunnel_link *l, uint16_t channel, uint64_t start, uint8_t mode,
		      void *user)
{
	struct stream_client *s = user;

	s->open = true;
	s->offset = start;
	s->ops->opened(start, mode, s->user);
}

static void on_data(struct tunnel_link *l, uint16_t channel, uint64_t offset, const uint8_t *p,
		    size_t len, void *user)
{
	struct stream_client *s = user;

	s->offset = offset + len;
	s->pending += len;
	s->ops->data(p, len, s->user);
}

static void on_screen(struct tunnel_link *l, uint16_t channel, const uint8_t *p, size_t len,
		      bool last, void *user)
{
	struct stream_client *s = user;

	s->pending += len;
	s->ops->screen(p, len, last, s->user);
}

static void on_gap(struct tunnel_link *l, uint16_t channel, uint64_t offset, uint64_t length,
		   void *user)
{
	struct stream_client *s = user;

	s->offset = offset + length;
	s->ops->gap(length, s->user);
	if (give_credit(s) < 0) {
		finish(s, fault_code_name(FAULT_PROTOCOL));
	}
}

/* The caller asks for room whenever he polls. */
static void on_writable(struct tunnel_link *l, uint16_t channel, void *user)
{
}

static void on_eof(struct tunnel_link *l, uint16_t channel, void *user)
{
	struct stream_client *s = user;

	s->eof_received = true;
	s->ops->eof(s->user);
}

static void on_ctl(struct tunnel_link *l, uint16_t channel, const struct tunnel_ctl *ctl,
		   void *user)
{
	struct stream_client *s = user;

	if (ctl->op == TUNNEL_CTL_WRITER) {
		s->ops->writer(ctl->on, s->user);
	} else if (ctl->op == TUNNEL_CTL_SOURCE) {
		s->ops->source(ctl->on, s->user);
	} else if (ctl->op == TUNNEL_CTL_BROKE) {
		s->ops->broke(ctl->on, s->user);
	} else if (ctl->op == TUNNEL_CTL_INPUT) {
		s->ops->input(ctl->id, ctl->at, s->user);
	}
}

static void on_closed(struct tunnel_link *l, uint16_t channel, const char *reason, void *user)
{
	finish(user, reason);
}

static const struct tunnel_link_ops link_ops = {
	.up = on_up,
	.open = on_open,
	.opened = on_opened,
	.data = on_data,
	.screen = on_screen,
	.gap = on_gap,
	.writable = on_writable,
	.eof = on_eof,
	.ctl = on_ctl,
	.closed = on_closed,
};

void stream_client_ignore_opened(uint64_t start, uint8_t mode, void *user)
{
}

void stream_client_ignore_screen(const uint8_t *p, size_t len, bool last, void *user)
{
}

void stream_client_ignore_flag(bool value, void *user)
{
}

void stream_client_ignore_input(uint64_t id, uint64_t had, void *user)
{
}

void stream_client_ignore_eof(void *user)
{
}

int stream_client_new(const struct stream_client_ops *ops, void *user, struct stream_client **ret)
{
	struct stream_client *s = calloc(1, sizeof(*s));

	assert(ops->opened && ops->data && ops->screen && ops->gap && ops->writer && ops->source &&
	       ops->broke && ops->input && ops->eof);
	if (!s) {
		return -ENOMEM;
	}
	s->ops = ops;
	s->user = user;
	*ret = s;
	return 0;
}

static void disconnect(struct stream_client *s)
{
	s->link = tunnel_link_free(s->link);
	s->ws = ws_client_free(s->ws);
}

struct stream_client *stream_client_free(struct stream_client *s)
{
	if (s) {
		disconnect(s);
		free(s);
	}
	return NULL;
}

int stream_client_connect(struct stream_client *s, const struct config *config, const char *path,
			  const char *service, uint8_t mode, uint64_t from, struct fault *fault)
{
	int r;

	if (strlen(service) > TUNNEL_SERVICE_MAX) {
		return fault_set(fault, FAULT_BAD_VALUE, "the name of the service is too long");
	}
	disconnect(s);
	strcpy(s->service, service);
	s->mode = mode;
	s->from = from;
	s->channel = 0;
	s->open = s->eof_sent = s->eof_received = s->closed = false;
	s->offset = s->pending = 0;
	r = tunnel_link_new(TUNNEL_DIALER, &link_ops, s, OUTPUT_MAX, &s->link);
	return r < 0 ? r : ws_client_open(config, path, PROTOCOL, &s->ws, fault);
}

int stream_client_fd(const struct stream_client *s)
{
	return ws_client_fd(s->ws);
}

short stream_client_events(const struct stream_client *s)
{
	return ws_client_events(s->ws) | (buf_len(tunnel_link_output(s->link)) > 0 ? POLLOUT : 0);
}

/* What the link has to say, into messages. 1: moved something. */
static int send_output(struct stream_client *s)
{
	struct buf *out = tunnel_link_output(s->link);
	int moved = 0;

	while (buf_len(out) > 0) {
		size_t n = MIN(buf_len(out), ws_client_room(s->ws));
		int r;

		n = MIN(n, (size_t)SEND_MAX);
		if (n == 0) {
			break;
		}
		r = ws_client_send(s->ws, buf_data(out), n);
		if (r < 0) {
			return r;
		}
		tunnel_link_output_sent(s->link, n);
		moved = 1;
	}
	return moved;
}

static int take_input(struct stream_client *s)
{
	struct buf *in = ws_client_in(s->ws);
	size_t len = buf_len(in);
	int r;

	if (len == 0 || s->closed) {
		return 0;
	}
	r = tunnel_link_input(s->link, buf_data(in), len);
	buf_consume(in, len);
	return r < 0 ? r : 1;
}

static int relay_lost(struct fault *fault)
{
	fault_set(fault, FAULT_RELAY_LOST, "the connection to the stream broke");
	return -ECONNRESET;
}

/* The stream has ended by what the relay said. */
static int ended(struct stream_client *s, struct fault *fault)
{
	enum fault_code code;

	if (s->reason[0] == '\0') {
		return 1;
	}
	code = fault_code_parse(s->reason);
	if (code == FAULT_RELAY_LOST) {
		return relay_lost(fault);
	}
	return fault_set(fault, code, "%s", fault_code_title(code));
}

int stream_client_pump(struct stream_client *s, struct fault *fault)
{
	int moved = 1, r = 0, connection = 0;

	while (moved > 0 && r >= 0 && connection >= 0) {
		moved = send_output(s);
		r = moved;
		if (r >= 0) {
			connection = ws_client_pump(s->ws);
			r = take_input(s);
			moved |= r > 0;
		}
	}
	if (r == -EPROTO) {
		return fault_set(fault, FAULT_PROTOCOL, "the stream's relay broke the protocol");
	}
	if (r < 0) {
		return r == -ENOMEM ? r : relay_lost(fault);
	}
	if (s->closed) {
		return ended(s, fault);
	}
	if (s->eof_sent && s->eof_received && !(stream_client_events(s) & POLLOUT)) {
		return 1;
	}
	return connection < 0 ? (connection == -ENOMEM ? connection : relay_lost(fault)) : 0;
}

uint64_t stream_client_offset(const struct stream_client *s)
{
	return s->offset;
}

size_t stream_client_room(struct stream_client *s)
{
	return s->open && !s->closed && !s->eof_sent ? tunnel_link_room(s->link, s->channel) : 0;
}

ssize_t stream_client_write(struct stream_client *s, const void *p, size_t len)
{
	return stream_client_room(s) > 0 ? tunnel_link_send(s->link, s->channel, p, len) : 0;
}

int stream_client_eof(struct stream_client *s)
{
	if (!s->open || s->closed || s->eof_sent) {
		return 0;
	}
	s->eof_sent = true;
	return tunnel_link_eof(s->link, s->channel);
}

int stream_client_done(struct stream_client *s, size_t len)
{
	assert(len <= s->pending);
	s->pending -= len;
	return give_credit(s);
}

int stream_client_ctl(struct stream_client *s, const struct tunnel_ctl *ctl)
{
	return s->open && !s->closed ? tunnel_link_ctl(s->link, s->channel, ctl) : 0;
}
