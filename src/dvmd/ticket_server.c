/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where dvm-gate redeems tickets. A peer that has gone is freed by the next turn of the loop, since
 * none may be freed inside its own callbacks.
 */
#include "ticket_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "list.h"
#include "log.h"
#include "metrics.h"
#include "rpc_peer.h"
#include "stream_ops.h"
#include "unix.h"

struct ticket_peer {
	struct ticket_server *server;
	struct list link;
	struct rpc_peer *rpc;
	bool gone;
};

struct ticket_server {
	struct dvmd *d;
	int fd;
	sd_event_source *accept, *sweep;
	struct list peers;
	size_t n_peers;
};

static void hello(struct rpc_request *request)
{
	rpc_request_reply(request, json_pack("{s:i, s:s}", "protocol", 1, "program", "dvmd"));
}

static void redeem(struct dvmd *d, struct rpc_request *request, json_t *params)
{
	const char *ticket = json_string_value(json_object_get(params, "ticket"));
	struct fault fault;
	json_t *result = NULL;
	int r;

	if (ticket) {
		r = ticket_redeem(d, ticket, &result, &fault);
	} else {
		r = fault_set(&fault, FAULT_TICKET_INVALID, "No ticket was given");
	}
	if (r < 0) {
		rpc_request_fault(request, &fault);
	} else {
		rpc_request_reply(request, result);
	}
}

static void on_call(struct rpc_peer *rpc, struct rpc_request *request, const char *method,
		    json_t *params, int *fds, size_t n_fds, void *user)
{
	struct ticket_peer *peer = user;
	struct fault fault;

	if (strcmp(method, "hello") == 0) {
		hello(request);
	} else if (strcmp(method, "ticket.redeem") == 0) {
		redeem(peer->server->d, request, params);
	} else {
		fault_set(&fault, FAULT_NOT_SUPPORTED, "There is no such method");
		rpc_request_fault(request, &fault);
	}
}

static void on_notice(struct rpc_peer *rpc, const char *method, json_t *params, void *user)
{
}

static void on_closed(struct rpc_peer *rpc, void *user)
{
	struct ticket_peer *peer = user;

	peer->gone = true;
	sd_event_source_set_enabled(peer->server->sweep, SD_EVENT_ONESHOT);
}

static void peer_free(struct ticket_peer *peer)
{
	peer->server->n_peers--;
	list_del(&peer->link);
	rpc_peer_free(peer->rpc);
	free(peer);
}

static int on_sweep(sd_event_source *source, void *user)
{
	struct ticket_server *s = user;
	struct ticket_peer *peer, *tmp;

	list_for_each_safe (peer, tmp, &s->peers, link) {
		if (peer->gone) {
			peer_free(peer);
		}
	}
	return 0;
}

static int peer_add_take(struct ticket_server *s, int fd)
{
	static const struct rpc_peer_ops ops = { .call = on_call,
						 .notice = on_notice,
						 .closed = on_closed };
	_cleanup_close_ int conn = fd;
	struct ticket_peer *peer;
	int r;

	if (s->n_peers == TICKET_PEERS_MAX) {
		return -ENOSPC;
	}
	peer = calloc(1, sizeof(*peer));
	if (!peer) {
		return -ENOMEM;
	}
	peer->server = s;
	r = rpc_peer_new_take(s->d->event, TAKE_FD(conn), &ops, peer, &peer->rpc);
	if (r < 0) {
		free(peer);
		return r;
	}
	list_add_tail(&s->peers, &peer->link);
	s->n_peers++;
	return 0;
}

static int on_accept(sd_event_source *source, int fd, uint32_t revents, void *user)
{
	struct ticket_server *s = user;
	int conn;
	int r = unix_accept(fd, &conn);

	if (r == 0) {
		r = peer_add_take(s, conn);
	}
	if (r < 0 && r != -EAGAIN) {
		log_warn("Cannot serve a redeemer of tickets: %s, ignoring", strerror(-r));
	}
	return 0;
}

int ticket_server_new_take(struct dvmd *d, int listen_fd, struct ticket_server **ret)
{
	struct ticket_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		close_fd(listen_fd);
		return -ENOMEM;
	}
	s->d = d;
	s->fd = listen_fd;
	list_init(&s->peers);
	r = sd_event_add_io(d->event, &s->accept, s->fd, EPOLLIN, on_accept, s);
	if (r >= 0) {
		r = sd_event_add_defer(d->event, &s->sweep, on_sweep, s);
	}
	if (r >= 0) {
		r = sd_event_source_set_enabled(s->sweep, SD_EVENT_OFF);
	}
	if (r < 0) {
		ticket_server_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

struct ticket_server *ticket_server_free(struct ticket_server *s)
{
	if (!s) {
		return NULL;
	}
	sd_event_source_disable_unref(s->accept);
	sd_event_source_disable_unref(s->sweep);
	while (!list_empty(&s->peers)) {
		peer_free(container_of(s->peers.next, struct ticket_peer, link));
	}
	close_fd(s->fd);
	free(s);
	return NULL;
}
