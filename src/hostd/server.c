/* SPDX-License-Identifier: Apache-2.0 */
/* RUN/hostd.sock: takes dvmd's connections and turns calls into operations. */
#include "server.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "cleanup.h"
#include "list.h"
#include "log.h"
#include "methods.h"
#include "parse.h"
#include "unix.h"

#define PROTOCOL_VERSION 1
#define CLIENTS_MAX 16
/* Power verbs and disks take what the hypervisor takes. */
#define ASK_TIMEOUT (120 * USEC_PER_SEC)

struct client {
	struct list link;
	struct server *server;
	struct rpc_peer *peer;
	sd_event_source *reap; /* frees it when its callbacks have returned */
	bool greeted;
};

struct server {
	struct hostd *hostd;
	int fd;
	sd_event_source *io;
	struct list clients;
	unsigned n_clients;
};

static const struct op_method *const tables[] = {
	domain_methods, console_methods, image_methods, dvm_methods,  session_methods, disk_methods,
	stream_methods, display_methods, port_methods,	pool_methods, live_methods,
};

static const struct op_method *method_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		for (const struct op_method *m = tables[i]; m->name; m++) {
			if (strcmp(m->name, name) == 0) {
				return m;
			}
		}
	}
	return NULL;
}

static void client_free(struct client *c)
{
	list_del(&c->link);
	c->server->n_clients--;
	sd_event_source_disable_unref(c->reap);
	rpc_peer_free(c->peer);
	free(c);
}

static void hello(struct client *c, struct rpc_request *request, const json_t *params)
{
	struct hypervisor *hv = c->server->hostd->hv;
	bool up = hv->ops->alive(hv);
	struct fault fault;

	if (json_integer_value(json_object_get(params, "protocol")) != PROTOCOL_VERSION) {
		fault_set(&fault, FAULT_PROTOCOL, "This host speaks protocol %d", PROTOCOL_VERSION);
		rpc_request_fault(request, &fault);
		return;
	}
	c->greeted = true;
	rpc_request_reply(
		request, json_pack("{siss}", "protocol", PROTOCOL_VERSION, "program", "dvm-hostd"));
	/* What a newcomer has missed: lost D-VMs are told of anew. */
	rpc_peer_notify(c->peer, "hypervisor", json_pack("{sb}", "up", up));
	if (up) {
		restore_all_start(c->server->hostd);
	}
}

static void on_call(struct rpc_peer *p, struct rpc_request *request, const char *method,
		    json_t *params, int *fds, size_t n_fds, void *user)
{
	struct client *c = user;
	const struct op_method *m;
	struct fault fault;

	if (strcmp(method, "hello") == 0) {
		hello(c, request, params);
		return;
	}
	m = c->greeted ? method_find(method) : NULL;
	if (!m) {
		if (c->greeted) {
			fault_set(&fault, FAULT_NOT_SUPPORTED, "There is no method \"%s\"", method);
		} else {
			fault_set(&fault, FAULT_PROTOCOL, "Say hello first");
		}
		rpc_request_fault(request, &fault);
		return;
	}
	op_start(c->server->hostd, m, json_incref(params), request);
}

static void on_notice(struct rpc_peer *p, const char *method, json_t *params, void *user)
{
	log_debug("notice %s from dvmd, ignoring", method);
}

static int on_reap(sd_event_source *source, void *user)
{
	client_free(user);
	return 0;
}

static void on_closed(struct rpc_peer *p, void *user)
{
	struct client *c = user;

	c->greeted = false;
	if (sd_event_add_defer(c->server->hostd->event, &c->reap, on_reap, c) < 0) {
		log_err("out of memory; a closed connection stays");
	}
}

static const struct rpc_peer_ops client_ops = { .call = on_call,
						.notice = on_notice,
						.closed = on_closed };

static int client_new_take(struct server *s, int fd)
{
	struct client *c;
	int r;

	if (s->n_clients == CLIENTS_MAX) {
		close_fd(fd);
		return -EMFILE;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		close_fd(fd);
		return -ENOMEM;
	}
	c->server = s;
	list_add_tail(&s->clients, &c->link);
	s->n_clients++;
	r = rpc_peer_new_take(s->hostd->event, fd, &client_ops, c, &c->peer);
	if (r < 0) {
		client_free(c);
	}
	return r;
}

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *user)
{
	struct server *s = user;
	int client_fd;
	int r;

	r = unix_accept(s->fd, &client_fd);
	if (r == 0) {
		r = client_new_take(s, client_fd);
	}
	if (r < 0 && r != -EAGAIN) {
		log_warn("connection refused: %s", strerror(-r));
	}
	return 0;
}

int server_new(struct hostd *h, struct server **ret)
{
	_cleanup_free_ char *path = strf("%s/run/hostd.sock", h->state);
	struct server *s = calloc(1, sizeof(*s));
	int r;

	if (!s || !path) {
		free(s);
		return -ENOMEM;
	}
	s->hostd = h;
	s->fd = -1;
	list_init(&s->clients);
	r = unix_listen(path, 0600, &s->fd);
	if (r == 0) {
		r = sd_event_add_io(h->event, &s->io, s->fd, EPOLLIN, on_connection, s);
	}
	if (r < 0) {
		server_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

struct server *server_free(struct server *s)
{
	struct client *c, *next;

	if (!s) {
		return NULL;
	}
	list_for_each_safe (c, next, &s->clients, link) {
		client_free(c);
	}
	sd_event_source_disable_unref(s->io);
	close_fd(s->fd);
	free(s);
	return NULL;
}

void server_notify(struct server *s, const char *method, json_t *params)
{
	struct client *c;

	list_for_each (c, &s->clients, link) {
		if (c->greeted) {
			rpc_peer_notify(c->peer, method, json_incref(params));
		}
	}
	json_decref(params);
}

struct later {
	struct hostd *hostd;
	const char *method;
	json_t *params;
};

static void notify_now(void *arg)
{
	struct later *later = arg;

	server_notify(later->hostd->server, later->method, later->params);
	free(later);
}

void server_notify_later(struct hostd *h, const char *method, json_t *params)
{
	struct later *later = malloc(sizeof(*later));

	if (later) {
		*later = (struct later){ .hostd = h, .method = method, .params = params };
	}
	if (!later || worker_post(h->workers, notify_now, later) < 0) {
		json_decref(params);
		free(later);
	}
}

static void on_asked(const json_t *result, const struct fault *fault, int *fds, size_t n_fds,
		     void *user)
{
	if (fault) {
		rpc_request_fault(user, fault);
	} else {
		rpc_request_reply(user, json_incref((json_t *)result));
	}
}

void server_ask_take(struct server *s, const char *method, json_t *params,
		     struct rpc_request *request)
{
	struct fault fault;
	struct client *c;

	list_for_each (c, &s->clients, link) {
		if (c->greeted && rpc_peer_call(c->peer, method, params, NULL, 0, ASK_TIMEOUT,
						on_asked, request) == 0) {
			return;
		}
	}
	json_decref(params);
	fault_set(&fault, FAULT_HOST_AWAY, "The service does not answer at the moment");
	rpc_request_fault(request, &fault);
}
