/* SPDX-License-Identifier: Apache-2.0 */
/* A unix socket where other programs call dvmd by RPC. */
#include "rpc_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "list.h"
#include "log.h"
#include "unix.h"

struct rpc_server_peer {
	struct rpc_server *server;
	struct list link;
	struct rpc_peer *rpc;
	uid_t uid;
	void *data;
	bool gone;
};

struct rpc_server {
	sd_event *event;
	int fd;
	size_t peers_max, n_peers;
	const struct rpc_server_ops *ops;
	void *user;
	sd_event_source *accept, *sweep;
	struct list peers;
};

static void on_call(struct rpc_peer *rpc, struct rpc_request *request, const char *method,
		    json_t *params, int *fds, size_t n_fds, void *user)
{
	struct rpc_server_peer *peer = user;

	if (strcmp(method, "hello") == 0) {
		rpc_request_reply(request,
				  json_pack("{s:i, s:s}", "protocol", 1, "program", "dvmd"));
	} else {
		peer->server->ops->call(peer, request, method, params, peer->server->user);
	}
}

static void on_notice(struct rpc_peer *rpc, const char *method, json_t *params, void *user)
{
}

static void hang_up(struct rpc_server_peer *peer)
{
	if (!peer->gone) {
		peer->gone = true;
		sd_event_source_set_enabled(peer->server->sweep, SD_EVENT_ONESHOT);
	}
}

static void on_closed(struct rpc_peer *rpc, void *user)
{
	hang_up(user);
}

static void peer_free(struct rpc_server_peer *peer)
{
	peer->server->n_peers--;
	list_del(&peer->link);
	rpc_peer_free(peer->rpc);
	free(peer->data);
	free(peer);
}

static int on_sweep(sd_event_source *source, void *user)
{
	struct rpc_server *s = user;
	struct rpc_server_peer *peer, *tmp;

	list_for_each_safe (peer, tmp, &s->peers, link) {
		if (peer->gone) {
			if (s->ops->closed) {
				s->ops->closed(peer, s->user);
			}
			peer_free(peer);
		}
	}
	return 0;
}

static int peer_add_take(struct rpc_server *s, int fd)
{
	static const struct rpc_peer_ops ops = { .call = on_call,
						 .notice = on_notice,
						 .closed = on_closed };
	_cleanup_close_ int conn = fd;
	struct rpc_server_peer *peer;
	uid_t uid;
	pid_t pid;
	int r = unix_peer(conn, &pid, &uid);

	if (r < 0) {
		return r;
	}
	if (s->ops->admit && !s->ops->admit(uid, s->user)) {
		return -EPERM;
	}
	if (s->n_peers == s->peers_max) {
		return -ENOSPC;
	}
	peer = calloc(1, sizeof(*peer));
	if (!peer) {
		return -ENOMEM;
	}
	peer->server = s;
	peer->uid = uid;
	r = rpc_peer_new_take(s->event, TAKE_FD(conn), &ops, peer, &peer->rpc);
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
	struct rpc_server *s = user;
	int conn;
	int r = unix_accept(fd, &conn);

	if (r == 0) {
		r = peer_add_take(s, conn);
	}
	if (r < 0 && r != -EAGAIN) {
		log_warn("Cannot serve %s: %s, ignoring", s->ops->who, strerror(-r));
	}
	return 0;
}

int rpc_server_new_take(sd_event *event, int listen_fd, size_t peers_max,
			const struct rpc_server_ops *ops, void *user, struct rpc_server **ret)
{
	struct rpc_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		close_fd(listen_fd);
		return -ENOMEM;
	}
	s->event = event;
	s->fd = listen_fd;
	s->peers_max = peers_max;
	s->ops = ops;
	s->user = user;
	list_init(&s->peers);
	r = sd_event_add_io(event, &s->accept, s->fd, EPOLLIN, on_accept, s);
	if (r >= 0) {
		r = sd_event_add_defer(event, &s->sweep, on_sweep, s);
	}
	if (r >= 0) {
		r = sd_event_source_set_enabled(s->sweep, SD_EVENT_OFF);
	}
	if (r < 0) {
		rpc_server_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

struct rpc_server *rpc_server_free(struct rpc_server *s)
{
	if (!s) {
		return NULL;
	}
	sd_event_source_disable_unref(s->accept);
	sd_event_source_disable_unref(s->sweep);
	while (!list_empty(&s->peers)) {
		peer_free(container_of(s->peers.next, struct rpc_server_peer, link));
	}
	close_fd(s->fd);
	free(s);
	return NULL;
}

uid_t rpc_server_peer_uid(const struct rpc_server_peer *peer)
{
	return peer->uid;
}

void **rpc_server_peer_data(struct rpc_server_peer *peer)
{
	return &peer->data;
}

size_t rpc_server_count(const struct rpc_server *s,
			bool (*fn)(struct rpc_server_peer *peer, const void *what),
			const void *what)
{
	struct rpc_server_peer *peer;
	size_t n = 0;

	list_for_each (peer, &s->peers, link) {
		n += !peer->gone && fn(peer, what);
	}
	return n;
}

void rpc_server_drop(struct rpc_server *s,
		     bool (*fn)(struct rpc_server_peer *peer, const void *what), const void *what)
{
	struct rpc_server_peer *peer;

	list_for_each (peer, &s->peers, link) {
		if (fn(peer, what)) {
			hang_up(peer);
		}
	}
}
