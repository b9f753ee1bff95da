/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a request to its handler: route, principal, query, body, Idempotency-Key, in this order.
 * Whatever is refused on the way is answered here, and audited where it would have changed
 * something.
 */
#include "api.h"

#include <errno.h>
#include <string.h>

#include "access.h"
#include "api_events.h"
#include "api_idempotency.h"
#include "clock.h"
#include "door_server.h"
#include "failpoint.h"
#include "log.h"
#include "parse.h"
#include "router.h"
#include "store_idempotency.h"
#include "ticket_server.h"
#include "unix.h"

#define UNKNOWN_AUDITS_PER_MINUTE 60

struct api {
	struct dvmd *d;
	struct http_server *http;
	struct rpc_server *tickets;
	struct door_server *door; /* NULL: not wanted */
	struct api_feed *feed;
	struct list calls;
	/* Callers without a good token: only so many are written down, or they could fill the
	 * store. */
	usec_t unknown_since;
	unsigned unknown_audits;
};

struct api_feed *api_feed_of(struct api *a)
{
	return a->feed;
}

void api_key_is_removed(struct api *a, const char *key)
{
	door_server_key_removed(a->door, key);
}

static bool may_audit_unknown(struct api *a)
{
	usec_t now = clock_monotonic();

	if (now - a->unknown_since >= 60 * USEC_PER_SEC) {
		a->unknown_since = now;
		a->unknown_audits = 0;
	}
	return a->unknown_audits++ < UNKNOWN_AUDITS_PER_MINUTE;
}

/* A refusal before any handler ran. */
static void refuse(struct api_call *c, const struct fault *fault)
{
	bool known = c->who.user[0] != '\0';

	if (known ? c->route->action != NULL : may_audit_unknown(c->api)) {
		api_refused(c, c->params[0] ? c->params[0] : "", fault);
	}
	api_fault(c, fault);
}

/* ---- the steps */

static bool request_id_valid(const char *id)
{
	size_t len =
		strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	return id[len] == '\0' && len >= 1 && len <= API_REQUEST_ID_MAX;
}

static int take_request_id(struct api_call *c)
{
	const char *given = http_request_header(c->request, "X-Request-Id");
	char *made;

	if (given && request_id_valid(given)) {
		strcpy(c->id, given);
		return 0;
	}
	made = random_id("r", 12);
	if (!made) {
		return -ENOMEM;
	}
	snprintf(c->id, sizeof(c->id), "%s", made);
	free(made);
	return 0;
}

static int authenticate(struct api_call *c, struct fault *fault)
{
	static const char scheme[] = "Bearer ";
	const char *field = http_request_header(c->request, "Authorization");
	int r;

	if (!field || strncasecmp(field, scheme, strlen(scheme)) != 0) {
		r = fault_set(fault, FAULT_UNAUTHENTICATED,
			      "This needs a token: `Authorization: Bearer …`");
	} else if (strlen(field) > strlen(scheme) + TOKEN_BYTES_MAX) {
		r = fault_set(fault, FAULT_UNAUTHENTICATED, "The token is not valid");
	} else {
		r = identity_authenticate(c->d->identity, field + strlen(scheme), &c->who, fault);
	}
	if (r < 0) {
		explicit_bzero(&c->who, sizeof(c->who));
	}
	snprintf(c->who.request, sizeof(c->who.request), "%s", c->id);
	return r;
}

static bool is_json_type(const char *type)
{
	static const char json[] = "application/json";

	return strncasecmp(type, json, strlen(json)) == 0 &&
	       (type[strlen(json)] == '\0' || type[strlen(json)] == ';' ||
		type[strlen(json)] == ' ');
}

static int read_body(struct api_call *c, struct fault *fault)
{
	const char *type = http_request_header(c->request, "Content-Type");
	size_t len;
	const char *p = http_request_body(c->request, &len);
	int r;

	if (http_request_too_large(c->request)) {
		return fault_set(fault, FAULT_TOO_LARGE, "The body is larger than 1 MiB");
	}
	if (!c->route->body) {
		return len == 0 ? 0
				: fault_set(fault, FAULT_BAD_REQUEST, "This request takes no body");
	}
	if (len == 0 && c->route->flags & API_BODY_OPTIONAL) {
		return 0;
	}
	if (type && !is_json_type(type)) {
		fault_set(fault, FAULT_BAD_REQUEST, "The body is not said to be JSON");
		fault_hint(fault, "Send it with Content-Type: application/json.");
		return -EREMOTEIO;
	}
	r = fields_parse_body(p, len, &c->json, fault);
	if (r < 0) {
		return r;
	}
	return fields_from_json(c->route->body, c->json, &c->body, fault);
}

static void options(struct api_call *c, const char *allow)
{
	http_request_add_header(c->request, "Allow", allow);
	api_reply(c, 204, NULL);
}

static int find_route(struct api_call *c, char allow[ROUTER_ALLOW_MAX], struct fault *fault)
{
	const char *method = http_request_method(c->request);
	int r = http_target_parse(http_request_target(c->request), &c->target, fault);

	if (r < 0) {
		return r;
	}
	c->route = router_find(method, &c->target, c->params, allow);
	if (!c->route && !allow[0]) {
		return fault_set(fault, FAULT_NOT_FOUND, "The API has no such path");
	}
	if (!c->route && strcmp(method, "OPTIONS") != 0) {
		return fault_set(fault, FAULT_METHOD_NOT_ALLOWED,
				 "This path does not take that method");
	}
	return 0;
}

static void dispatch(struct api_call *c)
{
	char allow[ROUTER_ALLOW_MAX] = "";
	struct fault fault;
	int r;

	if (find_route(c, allow, &fault) < 0) {
		if (fault.code == FAULT_METHOD_NOT_ALLOWED) {
			http_request_add_header(c->request, "Allow", allow);
		}
		api_fault(c, &fault);
		return;
	}
	if (!c->route) {
		options(c, allow);
		return;
	}
	r = c->route->flags & API_PUBLIC ? 0 : authenticate(c, &fault);
	if (r == 0) {
		r = fields_from_query(c->route->query, &c->target, &c->query, &fault);
	}
	if (r == 0) {
		r = read_body(c, &fault);
	}
	if (r == 0) {
		r = api_idempotency_begin(c, &fault);
		(void)failpoint("api.begun");
		if (r == 0) {
			return;
		}
	}
	if (r < 0) {
		refuse(c, &fault);
		return;
	}
	c->route->handle(c);
}

static void on_request(struct http_request *request, void *user)
{
	struct api *a = user;
	struct api_call *c = calloc(1, sizeof(*c));

	if (!c) {
		http_request_reply_take(request, 500, NULL, NULL, 0);
		return;
	}
	c->api = a;
	c->d = a->d;
	c->request = request;
	c->query.limit = API_PAGE_DEFAULT;
	c->query.after_seq = -1;
	c->started = clock_monotonic();
	list_add_tail(&a->calls, &c->link);
	if (take_request_id(c) < 0) {
		struct fault fault;

		strcpy(c->id, "r-0");
		api_no_memory(&fault);
		api_fault(c, &fault);
		return;
	}
	dispatch(c);
}

/* ---- the whole */

#define GATE_GID 61183 /* as in dvm-gate */

static int listen_at(struct dvmd *d, const char *name, mode_t mode, int *ret_fd,
		     struct fault *fault)
{
	_cleanup_free_ char *path = strf("%s/%s", d->run_dir, name);
	int r = path ? unix_listen(path, mode, ret_fd) : -ENOMEM;

	/* As root, dvm-gate is a user of its own, and comes in by its group. */
	if (r == 0 && geteuid() == 0 && chown(path, 0, GATE_GID) < 0) {
		r = -errno;
		*ret_fd = close_fd(*ret_fd);
	}
	if (r < 0) {
		log_err("Cannot listen at %s: %s", path ? path : name, strerror(-r));
		return fault_set(fault, FAULT_INTERNAL, "The API's socket cannot be made");
	}
	return 0;
}

static int start(struct api *a, struct fault *fault)
{
	static const struct http_server_ops ops = { .request = on_request };
	int fd;
	int r;

	r = store_idempotency_interrupt(a->d->store, fault);
	if (r < 0) {
		return r;
	}
	r = api_feed_new(a->d, &a->feed);
	if (r < 0) {
		return fault_set(fault, FAULT_INTERNAL, "The feed of events cannot be made");
	}
	r = listen_at(a->d, "ticket.sock", 0660, &fd, fault);
	if (r < 0) {
		return r;
	}
	r = ticket_server_new_take(a->d, fd, &a->tickets);
	if (r < 0) {
		return fault_set(fault, FAULT_INTERNAL, "The tickets' server cannot be made");
	}
	if (a->d->door) {
		/* Who may come is looked at when he does. */
		r = listen_at(a->d, "door.sock", 0666, &fd, fault);
		if (r < 0) {
			return r;
		}
		r = door_server_new_take(a->d, fd, &a->door);
		if (r < 0) {
			return fault_set(fault, FAULT_INTERNAL,
					 "The SSH door's server cannot be made");
		}
	}
	r = listen_at(a->d, "api.sock", 0660, &fd, fault);
	if (r < 0) {
		return r;
	}
	r = http_server_new_take(a->d->event, fd, &ops, a, &a->http);
	if (r < 0) {
		return fault_set(fault, FAULT_INTERNAL, "The API's server cannot be made");
	}
	return 0;
}

int api_new(struct dvmd *d, struct api **ret, struct fault *fault)
{
	struct api *a = calloc(1, sizeof(*a));
	int r;

	if (!a) {
		return api_no_memory(fault);
	}
	a->d = d;
	list_init(&a->calls);
	r = start(a, fault);
	if (r < 0) {
		api_free(a);
		return r;
	}
	*ret = a;
	return 0;
}

struct api *api_free(struct api *a)
{
	if (!a) {
		return NULL;
	}
	http_server_free(a->http);
	/* Their answers still come, and go nowhere. */
	while (!list_empty(&a->calls)) {
		struct api_call *c = container_of(a->calls.next, struct api_call, link);

		list_del(&c->link);
		c->api = NULL;
	}
	door_server_free(a->door);
	rpc_server_free(a->tickets);
	api_feed_free(a->feed);
	free(a);
	return NULL;
}
