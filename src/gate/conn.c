/* SPDX-License-Identifier: Apache-2.0 */
/* One connection from outside: TLS, the head of its request, and the way from state to state. */
#include "conn.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "answer.h"
#include "cleanup.h"
#include "clock.h"
#include "file.h"
#include "log.h"

#define HEAD_TIMEOUT (10 * USEC_PER_SEC)   /* from the first byte of TLS to the last of the head */
#define TICKET_TIMEOUT (10 * USEC_PER_SEC) /* dvmd, and then the relay, each */
#define BODY_TIMEOUT (30 * USEC_PER_SEC)
#define STALL_TIMEOUT (60 * USEC_PER_SEC) /* nothing of `out` is taken */
#define GONE_TIMEOUT (10 * USEC_PER_SEC)  /* for the last words of a user who has left */
#define LINGER_TIMEOUT (1 * USEC_PER_SEC)
#define TURNS_MAX 16 /* of conn_run(), then others have their turn */

#define TO(state) (1u << CONN_##state)

static const struct {
	const char *name;
	unsigned next;
} states[] = {
	[CONN_HANDSHAKE] = { "handshake", TO(HEAD) | TO(DEAD) },
	[CONN_HEAD] = { "head", TO(PASS) | TO(TICKET) | TO(FLUSH) | TO(DEAD) },
	[CONN_PASS] = { "pass", TO(FLUSH) | TO(DEAD) },
	[CONN_TICKET] = { "ticket", TO(JOIN) | TO(FLUSH) | TO(DEAD) },
	[CONN_JOIN] = { "join", TO(STREAM) | TO(FLUSH) | TO(DEAD) },
	[CONN_STREAM] = { "stream", TO(FLUSH) | TO(DEAD) },
	[CONN_FLUSH] = { "flush", TO(LINGER) | TO(DEAD) },
	[CONN_LINGER] = { "linger", TO(DEAD) },
	[CONN_DEAD] = { "dead", 0 },
};
static_assert(ARRAY_SIZE(states) == _CONN_STATE_MAX, "a name for each state");

static usec_t conn_now(struct conn *c)
{
	uint64_t now;

	return sd_event_now(c->gate->event, CLOCK_MONOTONIC, &now) < 0 ? clock_monotonic() : now;
}

static void conn_drop_up(struct conn *c)
{
	c->up_io = sd_event_source_disable_unref(c->up_io);
	c->up_fd = close_fd(c->up_fd);
	c->hold_io = sd_event_source_disable_unref(c->hold_io);
	c->hold_fd = close_fd(c->hold_fd);
	c->dvmd = rpc_peer_free(c->dvmd);
}

void conn_set_state(struct conn *c, enum conn_state state)
{
	assert(states[c->state].next & (1u << state));
	log_debug("%s: %s -> %s", c->request_id, states[c->state].name, states[state].name);
	c->state = state;
	c->since = conn_now(c);
	switch (state) {
	case CONN_FLUSH:
		conn_drop_up(c);
		break;
	case CONN_LINGER:
		tls_bye(c->tls);
		shutdown(c->fd, SHUT_WR);
		break;
	case CONN_DEAD:
		conn_drop_up(c);
		c->io = sd_event_source_disable_unref(c->io);
		c->timer = sd_event_source_disable_unref(c->timer);
		c->again = sd_event_source_disable_unref(c->again);
		gate_retire(c->gate, c);
		break;
	default:
		break;
	}
}

void conn_refuse(struct conn *c, const struct fault *f)
{
	log_debug("%s: %s: %s", c->request_id, fault_code_name(f->code), f->message);
	buf_clear(&c->out);
	conn_set_state(c, answer_fault(&c->out, f, c->request_id) < 0 ? CONN_DEAD : CONN_FLUSH);
}

/* True when something moved, as everywhere below. */
static bool flush_out(struct conn *c)
{
	bool moved = false;
	ssize_t n = 0;

	while (buf_len(&c->out) > 0) {
		n = tls_write(c->tls, buf_data(&c->out), buf_len(&c->out));
		if (n < 0) {
			break;
		}
		buf_consume(&c->out, n);
		moved = true;
	}
	if (n >= 0) {
		n = tls_flush(c->tls);
	}
	if (n < 0 && n != -EAGAIN) {
		conn_set_state(c, CONN_DEAD);
		return true;
	}
	if (moved || buf_len(&c->out) == 0) {
		c->moved = conn_now(c);
	}
	return moved;
}

/* What comes is of no interest any more: it is read and forgotten. */
static bool input_is_discarded(const struct conn *c)
{
	return c->state == CONN_FLUSH || c->state == CONN_LINGER ||
	       (c->state == CONN_PASS && c->body_left == 0);
}

static bool wants_input(const struct conn *c)
{
	return c->state > CONN_HANDSHAKE && c->state < CONN_DEAD && !c->in_end &&
	       (input_is_discarded(c) || buf_room(&c->in) > 0);
}

static void user_left(struct conn *c)
{
	c->in_end = true;
	c->since = conn_now(c);
	/* A stream still gets what he has sent, and an answer may find him half open. */
	if (c->state != CONN_STREAM && c->state != CONN_FLUSH) {
		conn_set_state(c, CONN_DEAD);
	}
}

/* One record of TLS. */
static bool fill_record(struct conn *c)
{
	uint8_t *p;
	size_t len;
	ssize_t n;

	if (input_is_discarded(c)) {
		buf_clear(&c->in);
	}
	len = MIN(buf_room(&c->in), (size_t)TLS_RECORD_MAX);
	if (buf_reserve(&c->in, len, &p) < 0) {
		conn_set_state(c, CONN_DEAD);
		return true;
	}
	n = tls_read(c->tls, p, len);
	if (n == -EAGAIN) {
		return false;
	}
	if (n <= 0) {
		user_left(c);
		return true;
	}
	buf_commit(&c->in, n);
	c->heard = conn_now(c);
	return true;
}

/* As many as `in` takes, so that what is behind gets them in one piece. */
static bool fill_in(struct conn *c)
{
	bool moved = false;

	for (unsigned i = 0; i < CONN_IN_MAX / TLS_RECORD_MAX && wants_input(c); i++) {
		if (!fill_record(c)) {
			break;
		}
		moved = true;
	}
	return moved;
}

bool conn_flush_up(struct conn *c)
{
	bool moved = false;

	while (!c->up_broken && buf_len(&c->up_out) > 0) {
		ssize_t n = buf_write_fd(&c->up_out, c->up_fd);

		if (n == -EAGAIN) {
			break;
		}
		moved = true;
		if (n < 0) {
			c->up_broken = true;
			buf_clear(&c->up_out);
		}
	}
	return moved;
}

static bool handshake_step(struct conn *c)
{
	int r = tls_handshake(c->tls);

	if (r == -EAGAIN) {
		return false;
	}
	conn_set_state(c, r < 0 ? CONN_DEAD : CONN_HEAD);
	return true;
}

static bool request_id_valid(const struct http_field *f)
{
	if (f->value_len == 0 || f->value_len > REQUEST_ID_MAX) {
		return false;
	}
	for (size_t i = 0; i < f->value_len; i++) {
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-",
			    f->value[i]) ||
		    f->value[i] == '\0') {
			return false;
		}
	}
	return true;
}

/* What every request must fulfil, whoever answers it. */
static int check_head(const struct http_head *head, struct fault *f)
{
	unsigned hosts = 0;

	for (size_t i = 0; i < head->n_fields; i++) {
		hosts += head->fields[i].name_len == 4 &&
			 strncasecmp(head->fields[i].name, "Host", 4) == 0;
	}
	if (hosts > 1 || (hosts == 0 && head->minor > 0)) {
		return fault_set(f, FAULT_BAD_REQUEST, "A request has one Host field.");
	}
	if (head->target_len == 0 || head->target[0] != '/') {
		return fault_set(f, FAULT_BAD_REQUEST,
				 "The target of a request begins with \"/\".");
	}
	return 0;
}

static bool head_step(struct conn *c)
{
	struct http_head head;
	const struct http_field *id;
	struct fault fault;
	size_t head_len;
	int r;

	if (buf_len(&c->in) == 0) {
		return false;
	}
	r = http_head_decode((const char *)buf_data(&c->in), buf_len(&c->in), &head, &head_len);
	if (r == 0) {
		return false;
	}
	if (r == -EMSGSIZE) {
		fault_set(&fault, FAULT_TOO_LARGE, "The head of the request is too large.");
		conn_refuse(c, &fault);
		return true;
	}
	if (r < 0) {
		fault_set(&fault, FAULT_BAD_REQUEST, "The head of the request is malformed.");
		conn_refuse(c, &fault);
		return true;
	}
	id = http_head_field(&head, "X-Request-Id");
	if (id && request_id_valid(id)) {
		memcpy(c->request_id, id->value, id->value_len);
		c->request_id[id->value_len] = '\0';
	}
	if (check_head(&head, &fault) < 0) {
		conn_refuse(c, &fault);
	} else if (stream_is_wanted(&head)) {
		stream_begin(c, &head, head_len);
	} else {
		pass_begin(c, &head, head_len);
	}
	return true;
}

static bool flush_step(struct conn *c)
{
	if (buf_len(&c->out) > 0 || tls_wants_write(c->tls)) {
		return false;
	}
	conn_set_state(c, CONN_LINGER);
	return true;
}

static bool conn_step(struct conn *c)
{
	switch (c->state) {
	case CONN_HANDSHAKE:
		return handshake_step(c);
	case CONN_HEAD:
		return head_step(c);
	case CONN_PASS:
		return pass_step(c);
	case CONN_JOIN:
	case CONN_STREAM:
		return stream_step(c);
	case CONN_FLUSH:
		return flush_step(c);
	default:
		return false; /* TICKET waits for dvmd, LINGER for the user */
	}
}

/* USEC_INFINITY: never */
static usec_t conn_deadline(const struct conn *c)
{
	usec_t stalled = buf_len(&c->out) > 0 ? c->moved + STALL_TIMEOUT : USEC_INFINITY;

	switch (c->state) {
	case CONN_HANDSHAKE:
	case CONN_HEAD:
		return c->since + HEAD_TIMEOUT;
	case CONN_PASS:
		return c->body_left > 0 ? c->since + BODY_TIMEOUT : stalled;
	case CONN_TICKET:
	case CONN_JOIN:
		return c->since + TICKET_TIMEOUT;
	case CONN_STREAM:
		return MIN(stalled,
			   c->in_end || c->closing ? c->since + GONE_TIMEOUT : c->next_ping);
	case CONN_FLUSH:
		return stalled;
	default:
		return c->since + LINGER_TIMEOUT;
	}
}

static uint32_t user_events(const struct conn *c)
{
	uint32_t events = 0;

	if (c->state == CONN_HANDSHAKE) {
		return tls_wants_write(c->tls) ? EPOLLOUT : EPOLLIN;
	}
	if (wants_input(c)) {
		events |= EPOLLIN;
	}
	if (tls_wants_write(c->tls)) {
		events |= EPOLLOUT;
	}
	return events;
}

static uint32_t up_events(const struct conn *c)
{
	uint32_t events = 0;

	if (!c->closing && buf_len(&c->out) < CONN_OUT_HIGH) {
		events |= EPOLLIN;
	}
	if (!c->up_broken && buf_len(&c->up_out) > 0) {
		events |= EPOLLOUT;
	}
	return events;
}

/* A source that waits for nothing is switched off: a peer that hung up would wake it for ever. */
static void source_poll(sd_event_source *source, uint32_t events, uint32_t *last)
{
	if (events == *last) {
		return;
	}
	*last = events;
	if (events != 0) {
		sd_event_source_set_io_events(source, events);
	}
	sd_event_source_set_enabled(source, events != 0 ? SD_EVENT_ON : SD_EVENT_OFF);
}

static void conn_poll(struct conn *c)
{
	usec_t deadline = conn_deadline(c);

	source_poll(c->io, user_events(c), &c->io_events);
	if (c->up_io) {
		source_poll(c->up_io, up_events(c), &c->up_events);
	}
	if (deadline != c->deadline) {
		c->deadline = deadline;
		sd_event_source_set_time(c->timer, deadline);
		sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
	}
}

void conn_run(struct conn *c)
{
	bool moved = true;

	for (unsigned i = 0; i < TURNS_MAX && moved; i++) {
		moved = false;
		if (c->state > CONN_HANDSHAKE && c->state < CONN_LINGER) {
			moved |= flush_out(c);
		}
		moved |= fill_in(c);
		moved |= conn_step(c);
	}
	if (c->state == CONN_DEAD) {
		return;
	}
	if (moved) {
		sd_event_source_set_enabled(c->again, SD_EVENT_ONESHOT);
	}
	conn_poll(c);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *user)
{
	conn_run(user);
	return 0;
}

static int on_again(sd_event_source *source, void *user)
{
	conn_run(user);
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t at, void *user)
{
	struct conn *c = user;
	usec_t now = conn_now(c);
	struct fault fault;

	c->deadline = 0;
	if (now < conn_deadline(c)) {
		conn_poll(c);
		return 0;
	}
	if (c->state == CONN_TICKET || c->state == CONN_JOIN) {
		fault_set(&fault, FAULT_TIMEOUT, "The stream did not answer in time.");
		conn_refuse(c, &fault);
	} else if (c->state == CONN_STREAM && !c->in_end && !c->closing && now >= c->next_ping) {
		stream_ping(c, now);
	} else {
		conn_set_state(c, CONN_DEAD);
	}
	conn_run(c);
	return 0;
}

int conn_set_up_take(struct conn *c, int fd)
{
	int r;

	c->up_fd = fd;
	c->up_broken = c->up_talked = false;
	c->up_events = EPOLLIN;
	r = sd_event_add_io(c->gate->event, &c->up_io, fd, EPOLLIN, on_io, c);
	return r < 0 ? r : 0;
}

/* The relay has gone, or ends the stream: in the latter case this only does again what it did. */
static int on_hold(sd_event_source *source, int fd, uint32_t revents, void *user)
{
	struct conn *c = user;

	c->hold_io = sd_event_source_disable_unref(c->hold_io);
	(void)shutdown(c->up_fd, SHUT_RDWR);
	conn_run(c);
	return 0;
}

int conn_hold_up_take(struct conn *c, int fd)
{
	_cleanup_close_ int owned = fd;
	int r = fd_set_nonblock(fd);

	if (r < 0) {
		return r;
	}
	sd_event_source_disable_unref(c->up_io);
	c->up_io = NULL;
	c->hold_fd = TAKE_FD(c->up_fd);
	r = sd_event_add_io(c->gate->event, &c->hold_io, c->hold_fd, EPOLLIN, on_hold, c);
	return r < 0 ? r : conn_set_up_take(c, TAKE_FD(owned));
}

void conn_drain(struct conn *c)
{
	switch (c->state) {
	case CONN_STREAM:
		stream_close(c, WS_GOING_AWAY);
		break;
	case CONN_PASS:
	case CONN_FLUSH:
	case CONN_LINGER:
		break; /* soon over by themselves, or cut off */
	default:
		conn_set_state(c, CONN_DEAD);
	}
	conn_run(c);
}

int conn_new_take(struct gate *g, int fd, const uint8_t address[ADDRESS_KEY_LEN], struct conn **ret)
{
	_cleanup_free_ char *id = random_id("r", 16);
	struct conn *c = calloc(1, sizeof(*c));
	int r;

	if (!c || !id) {
		free(c);
		close_fd(fd);
		return -ENOMEM;
	}
	c->gate = g;
	c->fd = fd;
	c->up_fd = c->hold_fd = -1;
	memcpy(c->address, address, ADDRESS_KEY_LEN);
	strncpy(c->request_id, id, REQUEST_ID_MAX);
	list_init(&c->link);
	buf_init(&c->in, CONN_IN_MAX);
	buf_init(&c->out, CONN_OUT_MAX);
	buf_init(&c->up_out, CONN_UP_MAX);
	buf_init(&c->line, CONN_LINE_MAX);
	c->since = conn_now(c);
	c->deadline = conn_deadline(c);
	c->io_events = EPOLLIN;
	r = tls_conn_new(g->tls, fd, &c->tls);
	if (r == 0) {
		r = sd_event_add_io(g->event, &c->io, fd, EPOLLIN, on_io, c);
	}
	if (r >= 0) {
		r = sd_event_add_time(g->event, &c->timer, CLOCK_MONOTONIC, c->deadline, 0,
				      on_timer, c);
	}
	if (r >= 0) {
		r = sd_event_add_defer(g->event, &c->again, on_again, c);
	}
	if (r >= 0) {
		r = sd_event_source_set_enabled(c->again, SD_EVENT_OFF);
	}
	if (r < 0) {
		conn_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

struct conn *conn_free(struct conn *c)
{
	if (c) {
		list_del(&c->link);
		conn_drop_up(c);
		sd_event_source_disable_unref(c->io);
		sd_event_source_disable_unref(c->timer);
		sd_event_source_disable_unref(c->again);
		tls_conn_free(c->tls);
		close_fd(c->fd);
		ws_free(c->ws);
		buf_fini(&c->in);
		buf_fini(&c->out);
		buf_fini(&c->up_out);
		buf_fini(&c->line);
		explicit_bzero(c->ticket, sizeof(c->ticket));
		free(c);
	}
	return NULL;
}
