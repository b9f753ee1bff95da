/* SPDX-License-Identifier: Apache-2.0 */
/* The connections of drivers and tests. */
#include <errno.h>
#include <sys/epoll.h>

#include "cleanup.h"
#include "fakevirt.h"
#include "log.h"
#include "unix.h"

struct client {
	struct list link;
	struct fakevirt *f;
	struct rpc_peer *peer;
	sd_event_source *reap; /* frees it when its callbacks have returned */
	bool subscribed, closed;
};

static void client_free(struct client *c)
{
	list_del(&c->link);
	sd_event_source_disable_unref(c->reap);
	rpc_peer_free(c->peer);
	free(c);
}

static int on_reap(sd_event_source *source, void *user)
{
	client_free(user);
	return 0;
}

static void client_end(struct client *c)
{
	c->subscribed = false;
	if (!c->closed && sd_event_add_defer(c->f->event, &c->reap, on_reap, c) < 0) {
		log_err("out of memory; a connection stays");
	}
	c->closed = true;
}

static void on_call(struct rpc_peer *p, struct rpc_request *request, const char *method,
		    json_t *params, int *fds, size_t n_fds, void *user)
{
	struct client *c = user;

	fake_call(c->f, request, method, params, p);
}

static void on_notice(struct rpc_peer *p, const char *method, json_t *params, void *user)
{
}

static void on_closed(struct rpc_peer *p, void *user)
{
	client_end(user);
}

static const struct rpc_peer_ops client_ops = { .call = on_call,
						.notice = on_notice,
						.closed = on_closed };

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *user)
{
	struct fakevirt *f = user;
	struct client *c;
	int connected;

	if (unix_accept(f->listen_fd, &connected) < 0) {
		return 0;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		close_fd(connected);
		return 0;
	}
	c->f = f;
	list_add_tail(&f->clients, &c->link);
	if (rpc_peer_new_take(f->event, connected, &client_ops, c, &c->peer) < 0) {
		client_free(c);
	}
	return 0;
}

int fake_server_open(struct fakevirt *f, const char *path)
{
	int r;

	r = unix_listen(path, 0600, &f->listen_fd);
	if (r == 0) {
		r = sd_event_add_io(f->event, &f->listen_io, f->listen_fd, EPOLLIN, on_connection,
				    f);
	}
	return r < 0 ? r : 0;
}

void fake_server_close(struct fakevirt *f)
{
	struct client *c, *next;

	list_for_each_safe (c, next, &f->clients, link) {
		client_free(c);
	}
	f->listen_io = sd_event_source_disable_unref(f->listen_io);
	f->listen_fd = close_fd(f->listen_fd);
}

void fake_subscribe(struct fakevirt *f, struct rpc_peer *peer)
{
	struct client *c;

	list_for_each (c, &f->clients, link) {
		c->subscribed |= c->peer == peer;
	}
}

void fake_unsubscribe_all(struct fakevirt *f)
{
	struct client *c;

	list_for_each (c, &f->clients, link) {
		if (c->subscribed) {
			client_end(c);
		}
	}
}

void fake_tell(struct fakevirt *f, json_t *event)
{
	struct client *c;

	list_for_each (c, &f->clients, link) {
		if (c->subscribed) {
			rpc_peer_notify(c->peer, "domain.event", json_incref(event));
		}
	}
	json_decref(event);
}
