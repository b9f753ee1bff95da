/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One RPC connection on an sd-event loop.
 *
 * Theory of operation: frames to send stand in `out`; one is written at once where the socket takes
 * it, the rest when the loop says so. Frames are read one by one and dispatched from the loop's
 * callback. Whatever ends the connection (end of file, a write that fails, a malformed frame) is
 * noted in `broken` and acted upon in peer_end(), again from the loop: open calls get their fault,
 * then `closed` runs, once.
 *
 * A peer that is freed inside one of its own callbacks is only marked, and goes when the callback
 * has returned.
 */
#include "rpc_peer.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>

#include "cleanup.h"
#include "clock.h"
#include "file.h"
#include "list.h"
#include "rpc_wire.h"

#define CALLS_MAX 1024			/* of ours, without an answer yet */
#define REQUESTS_MAX 1024		/* of theirs, without an answer yet */
#define OUT_BYTES_MAX (8 * 1024 * 1024) /* waiting to be sent */
#define FRAMES_PER_TURN 16		/* then others on the loop have their turn */

struct rpc_call {
	struct list link;
	struct rpc_peer *peer;
	uint64_t id;
	rpc_answer_fn answer;
	void *user;
	sd_event_source *timer;
};

struct rpc_request {
	struct list link;
	struct rpc_peer *peer; /* NULL when it has gone */
	uint64_t id;
};

struct rpc_peer {
	sd_event *event;
	sd_event_source *io;
	int fd;
	const struct rpc_peer_ops *ops;
	void *user;

	struct rpc_reader in;
	struct list out; /* struct rpc_frame */
	size_t out_bytes;

	uint64_t next_id;
	struct list calls, requests;
	size_t n_calls, n_requests;

	bool broken; /* nothing more can be sent or received */
	bool ended;  /* closed() has run */
	bool in_callback, free_later;
};

static struct rpc_peer *peer_destroy(struct rpc_peer *p)
{
	struct rpc_request *request, *tmp;

	list_for_each_safe (request, tmp, &p->requests, link) {
		list_del(&request->link);
		request->peer = NULL;
	}
	while (!list_empty(&p->out)) {
		rpc_frame_free(container_of(p->out.next, struct rpc_frame, link));
	}
	rpc_reader_fini(&p->in);
	sd_event_source_disable_unref(p->io);
	sd_event_unref(p->event);
	close_fd(p->fd);
	free(p);
	return NULL;
}

/* Around callbacks: false when the peer went away inside. */
static void callback_begin(struct rpc_peer *p)
{
	assert(!p->in_callback);
	p->in_callback = true;
}

static bool callback_end(struct rpc_peer *p)
{
	p->in_callback = false;
	if (p->free_later) {
		peer_destroy(p);
		return false;
	}
	return true;
}

static void call_free(struct rpc_call *call)
{
	list_del(&call->link);
	call->peer->n_calls--;
	sd_event_source_disable_unref(call->timer);
	free(call);
}

/* Hands the answer over; the call is gone. */
static void call_finish(struct rpc_call *call, const json_t *result, const struct fault *fault,
			int *fds, size_t n_fds)
{
	rpc_answer_fn answer = call->answer;
	void *user = call->user;

	call_free(call);
	if (answer) {
		answer(result, fault, fds, n_fds, user);
	}
}

static void calls_fail(struct rpc_peer *p, enum fault_code code, const char *text)
{
	struct fault fault;

	fault_set(&fault, code, "%s", text);
	while (!list_empty(&p->calls)) {
		call_finish(container_of(p->calls.next, struct rpc_call, link), NULL, &fault, NULL,
			    0);
	}
}

static void peer_end(struct rpc_peer *p)
{
	sd_event_source_set_enabled(p->io, SD_EVENT_OFF);
	p->broken = true;
	p->ended = true;
	callback_begin(p);
	calls_fail(p, FAULT_HOST_AWAY, "The other side of the connection has gone.");
	if (!p->free_later) {
		p->ops->closed(p, p->user);
	}
	callback_end(p);
}

/* Writes as much as the socket takes and asks the loop for more room if need be. */
static void peer_flush(struct rpc_peer *p)
{
	uint32_t events = EPOLLIN;

	while (!p->broken && !list_empty(&p->out)) {
		struct rpc_frame *f = container_of(p->out.next, struct rpc_frame, link);
		size_t before = buf_len(&f->bytes);
		int r = rpc_frame_send(f, p->fd);

		p->out_bytes -= before - buf_len(&f->bytes);
		if (r < 0) {
			p->broken = true;
		}
		if (r <= 0) {
			break;
		}
		rpc_frame_free(f);
	}
	/* A broken connection is writable: the loop comes back at once, and ends it from there. */
	if (p->broken || !list_empty(&p->out)) {
		events |= EPOLLOUT;
	}
	if (!p->ended) {
		sd_event_source_set_io_events(p->io, events);
	}
}

static int peer_send(struct rpc_peer *p, const struct rpc_message *m, const int *fds, size_t n_fds)
{
	struct rpc_frame *f;
	int r;

	if (p->broken) {
		return -EPIPE;
	}
	r = rpc_frame_new(m, fds, n_fds, &f);
	if (r < 0) {
		return r;
	}
	if (p->out_bytes + buf_len(&f->bytes) > OUT_BYTES_MAX) {
		rpc_frame_free(f);
		return -ENOBUFS;
	}
	p->out_bytes += buf_len(&f->bytes);
	list_add_tail(&p->out, &f->link);
	peer_flush(p);
	return 0;
}

static int method_set(struct rpc_message *m, const char *method)
{
	size_t len = strlen(method);

	if (len >= sizeof(m->method)) {
		return -EINVAL;
	}
	memcpy(m->method, method, len + 1);
	return 0;
}

/* An answer that can't be sent would leave the caller waiting for ever: the connection ends
 * instead. */
static void request_answer(struct rpc_request *r, const struct rpc_message *m, const int *fds,
			   size_t n_fds)
{
	struct rpc_peer *p = r->peer;
	int k;

	if (p) {
		list_del(&r->link);
		p->n_requests--;
		k = peer_send(p, m, fds, n_fds);
		if (k == -EMSGSIZE) {
			struct rpc_message sorry = { .kind = RPC_FAULT, .id = r->id };

			fault_set(&sorry.fault, FAULT_TOO_LARGE, "The answer is too large.");
			k = peer_send(p, &sorry, NULL, 0);
		}
		if (k < 0 && !p->broken) {
			p->broken = true;
			peer_flush(p);
		}
	}
	free(r);
}

static bool dispatch_call(struct rpc_peer *p, struct rpc_message *m)
{
	struct rpc_request *r;

	if (p->n_requests == REQUESTS_MAX) {
		struct rpc_message busy = { .kind = RPC_FAULT, .id = m->id };

		fault_set(&busy.fault, FAULT_NO_CAPACITY, "Too many calls are open at once.");
		p->broken = peer_send(p, &busy, NULL, 0) < 0;
		return true;
	}
	r = calloc(1, sizeof(*r));
	if (!r) {
		p->broken = true;
		return true;
	}
	r->peer = p;
	r->id = m->id;
	list_add_tail(&p->requests, &r->link);
	p->n_requests++;
	callback_begin(p);
	p->ops->call(p, r, m->method, m->body, p->in.fds, p->in.n_fds, p->user);
	return callback_end(p);
}

static bool dispatch_answer(struct rpc_peer *p, struct rpc_message *m)
{
	struct rpc_call *call;

	if (m->id == 0 || m->id >= p->next_id) {
		p->broken = true;
		return true;
	}
	list_for_each (call, &p->calls, link) {
		if (call->id == m->id) {
			callback_begin(p);
			if (m->kind == RPC_RESULT) {
				call_finish(call, m->body, NULL, p->in.fds, p->in.n_fds);
			} else {
				call_finish(call, NULL, &m->fault, p->in.fds, p->in.n_fds);
			}
			return callback_end(p);
		}
	}
	return true; /* an answer after its time-out */
}

/* False when the peer has gone. */
static bool dispatch(struct rpc_peer *p, struct rpc_message *m)
{
	switch (m->kind) {
	case RPC_CALL:
		return dispatch_call(p, m);
	case RPC_NOTICE:
		callback_begin(p);
		p->ops->notice(p, m->method, m->body, p->user);
		return callback_end(p);
	case RPC_RESULT:
	case RPC_FAULT:
		return dispatch_answer(p, m);
	}
	return true;
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *user)
{
	struct rpc_peer *p = user;

	int r = 1;

	peer_flush(p);
	for (unsigned i = 0; i < FRAMES_PER_TURN && r > 0; i++) {
		struct rpc_message m = { 0 };
		bool alive;

		r = rpc_reader_read(&p->in, p->fd, &m);
		if (r <= 0) {
			break;
		}
		alive = dispatch(p, &m);
		rpc_message_fini(&m);
		if (!alive) {
			return 0;
		}
		rpc_reader_next(&p->in);
	}
	/* What came before the end is still read when writing has failed. */
	if (r < 0 || (r == 0 && p->broken)) {
		peer_end(p);
	}
	return 0;
}

int rpc_peer_new_take(sd_event *event, int fd, const struct rpc_peer_ops *ops, void *user,
		      struct rpc_peer **ret)
{
	struct rpc_peer *p = calloc(1, sizeof(*p));
	int r;

	if (!p) {
		close_fd(fd);
		return -ENOMEM;
	}
	p->event = sd_event_ref(event);
	p->fd = fd;
	p->ops = ops;
	p->user = user;
	p->next_id = 1;
	rpc_reader_init(&p->in);
	list_init(&p->out);
	list_init(&p->calls);
	list_init(&p->requests);
	r = fd_set_nonblock(fd);
	if (r == 0) {
		r = sd_event_add_io(event, &p->io, fd, EPOLLIN, on_io, p);
	}
	if (r < 0) {
		peer_destroy(p);
		return r;
	}
	*ret = p;
	return 0;
}

struct rpc_peer *rpc_peer_free(struct rpc_peer *p)
{
	if (!p || p->free_later) {
		return NULL;
	}
	p->broken = p->ended = true;
	sd_event_source_set_enabled(p->io, SD_EVENT_OFF);
	if (p->in_callback) {
		p->free_later = true;
		calls_fail(p, FAULT_CANCELLED, "The call was given up.");
		return NULL;
	}
	callback_begin(p);
	calls_fail(p, FAULT_CANCELLED, "The call was given up.");
	p->in_callback = false;
	return peer_destroy(p);
}

static int on_timeout(sd_event_source *source, uint64_t now, void *user)
{
	struct rpc_call *call = user;
	struct rpc_peer *p = call->peer;
	struct fault fault;

	fault_set(&fault, FAULT_TIMEOUT, "The answer took too long.");
	callback_begin(p);
	call_finish(call, NULL, &fault, NULL, 0);
	callback_end(p);
	return 0;
}

int rpc_peer_call(struct rpc_peer *p, const char *method, json_t *params, const int *fds,
		  size_t n_fds, usec_t timeout, rpc_answer_fn answer, void *user)
{
	struct rpc_message m = { .kind = RPC_CALL, .body = params };
	struct rpc_call *call = NULL;
	int r;

	m.id = p->next_id;
	r = method_set(&m, method);
	if (r == 0 && p->n_calls == CALLS_MAX) {
		r = -EAGAIN;
	}
	if (r == 0) {
		call = calloc(1, sizeof(*call));
		r = call ? 0 : -ENOMEM;
	}
	if (r == 0) {
		call->peer = p;
		call->id = m.id;
		call->answer = answer;
		call->user = user;
		list_add_tail(&p->calls, &call->link);
		p->n_calls++;
		if (timeout > 0) {
			r = sd_event_add_time(p->event, &call->timer, CLOCK_MONOTONIC,
					      clock_monotonic() + timeout, 0, on_timeout, call);
		}
	}
	if (r >= 0) {
		r = peer_send(p, &m, fds, n_fds);
	}
	if (r >= 0) {
		p->next_id++;
	} else if (call) {
		call_free(call);
	}
	json_decref(params);
	return r < 0 ? r : 0;
}

int rpc_peer_notify(struct rpc_peer *p, const char *method, json_t *params)
{
	struct rpc_message m = { .kind = RPC_NOTICE, .body = params };
	int r;

	r = method_set(&m, method);
	if (r == 0) {
		r = peer_send(p, &m, NULL, 0);
	}
	json_decref(params);
	return r;
}

void rpc_request_reply(struct rpc_request *r, json_t *result)
{
	rpc_request_reply_fds(r, result, NULL, 0);
}

void rpc_request_reply_fds(struct rpc_request *r, json_t *result, const int *fds, size_t n_fds)
{
	const struct rpc_message m = { .kind = RPC_RESULT, .id = r->id, .body = result };

	request_answer(r, &m, fds, n_fds);
	json_decref(result);
}

void rpc_request_fault(struct rpc_request *r, const struct fault *fault)
{
	const struct rpc_message m = { .kind = RPC_FAULT, .id = r->id, .fault = *fault };

	request_answer(r, &m, NULL, 0);
}

static int sync_wait(int fd, short events, usec_t deadline)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	int timeout_ms = -1;

	if (deadline != USEC_INFINITY) {
		usec_t now = clock_monotonic();

		if (now >= deadline) {
			return -ETIMEDOUT;
		}
		timeout_ms = (int)MIN((deadline - now) / USEC_PER_MSEC + 1, (usec_t)INT32_MAX);
	}
	return poll(&pfd, 1, timeout_ms) < 0 && errno != EINTR ? -errno : 0;
}

static int sync_exchange(int fd, struct rpc_frame *out, struct rpc_reader *in, uint64_t id,
			 usec_t deadline, struct rpc_message *ret)
{
	int r;

	for (;;) {
		r = rpc_frame_send(out, fd);
		if (r != 0) {
			break;
		}
		r = sync_wait(fd, POLLOUT, deadline);
		if (r < 0) {
			return r;
		}
	}
	while (r >= 0) {
		r = rpc_reader_read(in, fd, ret);
		if (r == 0) {
			r = sync_wait(fd, POLLIN, deadline);
		} else if (r > 0) {
			if ((ret->kind == RPC_RESULT || ret->kind == RPC_FAULT) && ret->id == id) {
				return 0;
			}
			rpc_message_fini(ret);
			*ret = (struct rpc_message){ 0 };
			rpc_reader_next(in);
		}
	}
	return r;
}

int rpc_call_sync(int fd, const char *method, json_t *params, const int *fds, size_t n_fds,
		  usec_t timeout, json_t **ret_result, struct fault *fault)
{
	/* Time counts up as ids must, over all calls on this connection, without a counter to keep.
	 */
	struct rpc_message m = { .kind = RPC_CALL, .id = clock_monotonic(), .body = params };
	struct rpc_message answer = { 0 };
	_cleanup_(rpc_frame_freep) struct rpc_frame *frame = NULL;
	struct rpc_reader reader;
	int r;

	rpc_reader_init(&reader);
	r = method_set(&m, method);
	if (r == 0) {
		r = rpc_frame_new(&m, fds, n_fds, &frame);
	}
	if (r == 0) {
		r = sync_exchange(fd, frame, &reader, m.id,
				  timeout > 0 ? clock_monotonic() + timeout : USEC_INFINITY,
				  &answer);
	}
	if (r == 0 && answer.kind == RPC_FAULT) {
		r = -EREMOTEIO;
		if (fault) {
			*fault = answer.fault;
		}
	} else if (r == 0) {
		*ret_result = TAKE_PTR(answer.body);
	} else if (r == -ETIMEDOUT) {
		r = fault_set(fault, FAULT_TIMEOUT, "The answer took too long.");
	} else if (r == -EPROTO) {
		r = fault_set(fault, FAULT_PROTOCOL, "The answer could not be understood.");
	} else if (r == -ENOMEM || r == -EMSGSIZE || r == -EINVAL || r == -E2BIG) {
		r = fault_set(fault, FAULT_INTERNAL, "The call could not be sent.");
	} else {
		r = fault_set(fault, FAULT_HOST_AWAY, "The other side of the connection has gone.");
	}
	rpc_message_fini(&answer);
	rpc_reader_fini(&reader);
	json_decref(params);
	return r;
}
