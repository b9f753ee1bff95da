/* SPDX-License-Identifier: Apache-2.0 */
/* Links from a session's relay to the services of its targets' console relays. */
#include "upstream.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "cleanup.h"
#include "control.h"
#include "fault.h"
#include "policy.h"
#include "record.h"

#define UPSTREAM_CHANNELS_MAX 16

struct upstream {
	struct list of_relay;
	struct relay *relay;
	enum upstream_service service;
	char name[RELAY_NAME_MAX + 1];
	bool writable;
	struct link_conn *conn;
	struct rpc_request *request; /* waits for the link to be up; NULL: it was */
};

static const char *const service_names[] = {
	[UPSTREAM_CONSOLE] = "console",
	[UPSTREAM_VNC] = "vnc",
	[UPSTREAM_GDB] = "gdb",
};
static_assert(ARRAY_SIZE(service_names) == _UPSTREAM_SERVICE_MAX, "a name for each service");

const char *upstream_service_name(enum upstream_service service)
{
	return service_names[service];
}

int upstream_service_parse(const char *name, enum upstream_service *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(service_names); i++) {
		if (strcmp(service_names[i], name) == 0) {
			*ret = (enum upstream_service)i;
			return 0;
		}
	}
	return -EINVAL;
}

static struct upstream *upstream_free(struct upstream *u)
{
	if (u->request) {
		struct fault f = { 0 };

		fault_set(&f, FAULT_RELAY_LOST, "The console's relay has gone.");
		rpc_request_fault(u->request, &f);
	}
	link_conn_free(u->conn);
	list_del(&u->of_relay);
	free(u);
	return NULL;
}

static void on_up(struct link_conn *c, void *user)
{
	struct upstream *u = user;
	struct rpc_request *request = TAKE_PTR(u->request);

	if (request) {
		rpc_request_reply(request, json_object());
	}
	if (u->service == UPSTREAM_CONSOLE) {
		records_resume(u->relay, u->name);
	}
}

static void on_open(struct link_conn *c, uint16_t id, const char *service, uint8_t mode,
		    uint64_t from, void *user)
{
	channel_refuse(c, id, fault_code_name(FAULT_FORBIDDEN));
}

static void on_ended(struct link_conn *c, void *user)
{
	struct upstream *u = user;

	control_notify(
		u->relay->control, "upstream.lost",
		json_pack("{s:s, s:s}", "service", service_names[u->service], "name", u->name));
	upstream_free(u);
}

static const struct link_conn_ops conn_ops = {
	.up = on_up,
	.open = on_open,
	.ended = on_ended,
};

static struct upstream *upstream_find(const struct relay *relay, enum upstream_service service,
				      const char *name)
{
	struct upstream *u;

	list_for_each (u, &relay->upstreams, of_relay) {
		if (u->service == service && strcmp(u->name, name) == 0) {
			return u;
		}
	}
	return NULL;
}

int upstream_link_take(struct relay *relay, enum upstream_service service, const char *name,
		       bool writable, int fd, struct rpc_request *request)
{
	const struct link_conn_options options = {
		.kind = LINK_CONN_SOCKET,
		.role = TUNNEL_DIALER,
		.output_max = RELAY_OUTPUT_MAX,
		.channels_max = UPSTREAM_CHANNELS_MAX,
	};
	_cleanup_close_ int owned = fd;
	struct upstream *u = upstream_find(relay, service, name), *known;
	size_t n = 0;
	int err;

	if (u) {
		upstream_free(u);
	}
	list_for_each (known, &relay->upstreams, of_relay) {
		n++;
	}
	if (n >= RELAY_UPSTREAMS_MAX) {
		return -ENOSPC;
	}
	u = calloc(1, sizeof(*u));
	if (!u) {
		return -ENOMEM;
	}
	u->relay = relay;
	u->service = service;
	u->writable = writable;
	strncpy(u->name, name, RELAY_NAME_MAX);
	list_add_tail(&relay->upstreams, &u->of_relay);
	err = link_conn_new_take(relay->event, relay->poll, TAKE_FD(owned), &options, &conn_ops, u,
				 &u->conn);
	if (err < 0) {
		upstream_free(u);
		return err;
	}
	u->request = request;
	return 0;
}

struct link_conn *upstream_conn(struct relay *relay, enum upstream_service service,
				const char *name)
{
	struct upstream *u = upstream_find(relay, service, name);

	return u && tunnel_link_is_up(link_conn_link(u->conn)) ? u->conn : NULL;
}

enum fault_code upstream_mode(struct relay *relay, enum upstream_service service, const char *name,
			      uint8_t mode, uint8_t *ret_mode)
{
	struct upstream *u = upstream_find(relay, service, name);
	uint8_t allowed = TUNNEL_MODE_READ;

	if (!u) {
		return FAULT_NOT_ATTACHED;
	}
	if (u->writable) {
		allowed |= TUNNEL_MODE_WRITE | TUNNEL_MODE_TAKE;
	}
	return policy_mode(allowed, mode, ret_mode);
}

bool upstream_status(const struct relay *relay, size_t i, enum upstream_service *ret_service,
		     const char **ret_name, bool *ret_writable)
{
	struct upstream *u;

	list_for_each (u, &relay->upstreams, of_relay) {
		if (i-- == 0) {
			*ret_service = u->service;
			*ret_name = u->name;
			*ret_writable = u->writable;
			return true;
		}
	}
	return false;
}

void upstreams_free(struct relay *relay)
{
	while (!list_empty(&relay->upstreams)) {
		upstream_free(container_of(relay->upstreams.next, struct upstream, of_relay));
	}
}
