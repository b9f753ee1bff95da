/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection to dvm-hostd.
 *
 * Theory of operation: away -> (connected, hello asked) -> up -> away. While away, a timer tries
 * again, later and later up to RETRY_MAX; whoever calls meanwhile is told host-away from the loop.
 * A connection that does not answer hello is dropped.
 */
#include "host_link.h"

#include <errno.h>
#include <string.h>

#include "clock.h"
#include "list.h"
#include "log.h"
#include "unix.h"

#define RETRY_MIN (50 * USEC_PER_MSEC)
#define RETRY_MAX (2 * USEC_PER_SEC)
#define HELLO_TIMEOUT (5 * USEC_PER_SEC)

struct host_link {
	sd_event *event;
	char *path;
	struct metrics *metrics;
	const struct host_link_ops *ops;
	void *user;
	struct rpc_peer *peer;
	bool up, told; /* told: the log knows that it is away */
	usec_t retry;
	sd_event_source *timer;
	struct list calls;
};

struct call {
	struct list link;
	struct host_link *h;
	host_answer_fn fn;
	void *user;
	usec_t begun;
	char method[32];
	sd_event_source *deferred;
	struct fault fault;
};

static void host_link_try(struct host_link *h);

static int on_timer(sd_event_source *source, uint64_t usec, void *user)
{
	host_link_try(user);
	return 0;
}

static void retry_later(struct host_link *h)
{
	h->timer = sd_event_source_disable_unref(h->timer);
	if (sd_event_add_time_relative(h->event, &h->timer, CLOCK_MONOTONIC, h->retry, 0, on_timer,
				       h) < 0) {
		log_err("no memory for a timer: the host stays away");
	}
	h->retry = MIN(h->retry * 2, RETRY_MAX);
}

static void on_closed(struct rpc_peer *peer, void *user)
{
	struct host_link *h = user;
	bool was_up = h->up;

	h->peer = rpc_peer_free(h->peer);
	h->up = false;
	metrics_set(h->metrics, METRIC_HOST_UP, NULL, 0);
	if (was_up) {
		log_warn("the host is away");
		h->told = true;
		h->ops->down(h->user);
	}
	retry_later(h);
}

static void on_call(struct rpc_peer *peer, struct rpc_request *r, const char *method,
		    json_t *params, int *fds, size_t n_fds, void *user)
{
	struct host_link *h = user;

	h->ops->call(r, method, params, h->user);
}

static void on_notice(struct rpc_peer *peer, const char *method, json_t *params, void *user)
{
	struct host_link *h = user;

	h->ops->notice(method, params, h->user);
}

static const struct rpc_peer_ops peer_ops = {
	.call = on_call,
	.notice = on_notice,
	.closed = on_closed,
};

static void on_hello(const json_t *result, const struct fault *fault, int *fds, size_t n_fds,
		     void *user)
{
	struct host_link *h = user;

	if (fault && (fault->code == FAULT_HOST_AWAY || fault->code == FAULT_CANCELLED)) {
		return; /* closed comes, or we end */
	}
	if (fault || json_integer_value(json_object_get(result, "protocol")) != 1) {
		log_err("the host's program does not speak our protocol, trying again");
		h->peer = rpc_peer_free(h->peer);
		retry_later(h);
		return;
	}
	log_info("the host is there");
	h->up = true;
	h->told = false;
	h->retry = RETRY_MIN;
	metrics_set(h->metrics, METRIC_HOST_UP, NULL, 1);
	h->ops->up(h->user);
}

static void host_link_try(struct host_link *h)
{
	int fd, r = unix_connect(h->path, &fd);

	if (r == 0) {
		r = rpc_peer_new_take(h->event, fd, &peer_ops, h, &h->peer);
	}
	if (r == 0) {
		r = rpc_peer_call(h->peer, "hello",
				  json_pack("{s:i,s:s}", "protocol", 1, "program", "dvmd"), NULL, 0,
				  HELLO_TIMEOUT, on_hello, h);
	}
	if (r < 0) {
		if (!h->told) {
			log_info("the host is not there yet");
			h->told = true;
		}
		h->peer = rpc_peer_free(h->peer);
		retry_later(h);
	}
}

int host_link_new(sd_event *event, const char *path, struct metrics *metrics,
		  const struct host_link_ops *ops, void *user, struct host_link **ret)
{
	struct host_link *h = calloc(1, sizeof(*h));

	if (!h) {
		return -ENOMEM;
	}
	list_init(&h->calls);
	h->event = sd_event_ref(event);
	h->path = strdup(path);
	h->metrics = metrics;
	h->ops = ops;
	h->user = user;
	h->retry = RETRY_MIN;
	if (!h->path) {
		host_link_free(h);
		return -ENOMEM;
	}
	metrics_set(metrics, METRIC_HOST_UP, NULL, 0);
	host_link_try(h);
	*ret = h;
	return 0;
}

static void call_end(struct call *c, const json_t *result, const struct fault *fault)
{
	list_del(&c->link);
	sd_event_source_disable_unref(c->deferred);
	c->fn(result, fault, c->user);
	free(c);
}

struct host_link *host_link_free(struct host_link *h)
{
	if (h) {
		struct call *c, *next;

		h->up = false;
		h->peer = rpc_peer_free(h->peer);
		list_for_each_safe (c, next, &h->calls, link) {
			call_end(c, NULL, &c->fault);
		}
		sd_event_source_disable_unref(h->timer);
		sd_event_unref(h->event);
		free(h->path);
		free(h);
	}
	return NULL;
}

bool host_link_is_up(const struct host_link *h)
{
	return h->up;
}

static void on_answer(const json_t *result, const struct fault *fault, int *fds, size_t n_fds,
		      void *user)
{
	struct call *c = user;

	metrics_observe(c->h->metrics, METRIC_HOST_CALL_SECONDS, c->method,
			clock_monotonic() - c->begun);
	call_end(c, result, fault);
}

static int on_deferred(sd_event_source *source, void *user)
{
	struct call *c = user;

	call_end(c, NULL, &c->fault);
	return 0;
}

void host_link_call(struct host_link *h, const char *method, json_t *params, usec_t timeout,
		    host_answer_fn fn, void *user)
{
	struct call *c = calloc(1, sizeof(*c));
	struct fault fault;

	if (!c) {
		json_decref(params);
		fault_set(&fault, FAULT_INTERNAL, "Out of memory");
		fn(NULL, &fault, user);
		return;
	}
	c->h = h;
	c->fn = fn;
	c->user = user;
	c->begun = clock_monotonic();
	snprintf(c->method, sizeof(c->method), "%s", method);
	list_init(&c->link);
	list_add_tail(&h->calls, &c->link);
	if (!h->up) {
		json_decref(params);
		fault_set(&c->fault, FAULT_HOST_AWAY, "The host cannot be reached now");
	} else if (rpc_peer_call(h->peer, method, params, NULL, 0, timeout, on_answer, c) == 0) {
		return;
	} else {
		fault_set(&c->fault, FAULT_INTERNAL, "Out of memory");
	}
	if (sd_event_add_defer(h->event, &c->deferred, on_deferred, c) < 0) {
		call_end(c, NULL, &c->fault);
	}
}
