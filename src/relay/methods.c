/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The methods of a relay (PROTOCOL.relay §1): one function each, and one table. Each can be
 * repeated.
 */
#include "methods.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "cleanup.h"
#include "clock.h"
#include "control.h"
#include "gdb_channel.h"
#include "history.h"
#include "hub.h"
#include "hub_file.h"
#include "hub_source.h"
#include "log.h"
#include "parse.h"
#include "pipes.h"
#include "policy.h"
#include "raw_port.h"
#include "record.h"
#include "streams.h"
#include "upstream.h"

#define TTL_MS_MAX (10 * 60 * 1000)
#define BREAK_TIMEOUT (10 * USEC_PER_SEC)

struct method_call {
	struct relay *relay;
	const json_t *params;
	int *fds; /* at least as many as the table says */
	size_t n_fds;
	struct rpc_request *request;
	bool later; /* whoever took the request answers it */
	struct fault fault;
	json_t *result; /* NULL: {} */
};

static int bad_value(struct method_call *c, const char *what)
{
	return fault_set(&c->fault, FAULT_BAD_VALUE, "The parameter %s is missing or not valid.",
			 what);
}

/* A string that may be empty. */
static const char *param_text(const struct method_call *c, const char *key)
{
	const char *s = json_string_value(json_object_get(c->params, key));

	return s ? s : "";
}

static bool param_bool(const struct method_call *c, const char *key)
{
	return json_is_true(json_object_get(c->params, key));
}

static int param_number(struct method_call *c, const char *key, uint64_t min, uint64_t max,
			uint64_t *ret)
{
	const json_t *v = json_object_get(c->params, key);
	json_int_t n = json_integer_value(v);

	if (!json_is_integer(v) || n < 0 || (uint64_t)n < min || (uint64_t)n > max) {
		return bad_value(c, key);
	}
	*ret = (uint64_t)n;
	return 0;
}

static int param_name(struct method_call *c, const char *key, const char **ret)
{
	const char *s = param_text(c, key);

	if (strlen(s) > RELAY_NAME_MAX || !name_valid(s)) {
		return bad_value(c, key);
	}
	*ret = s;
	return 0;
}

static json_t *text_or_null(const char *s)
{
	return s ? json_string(s) : json_null();
}

static int method_hello(struct method_call *c)
{
	c->result = json_pack("{s:i, s:s}", "protocol", 1, "program", "dvm-relay");
	return 0;
}

static json_t *status_file(const struct ring *ring)
{
	struct ring_origin o;

	ring_origin_get(ring, &o);
	return o.inode == 0 ? json_null()
			    : json_pack("{s:I, s:I}", "device", (json_int_t)o.device, "inode",
					(json_int_t)o.inode);
}

static json_t *status_hub(const struct relay *relay)
{
	struct ring *ring;

	if (!relay->hub) {
		return json_null();
	}
	ring = hub_ring(relay->hub);
	return json_pack("{s:I, s:I, s:b, s:I, s:b, s:b, s:I, s:b, s:o}", "offset",
			 (json_int_t)ring_head(ring), "size_bytes", (json_int_t)ring_size(ring),
			 "keep", ring_is_kept(ring), "kept",
			 (json_int_t)(ring_head(ring) - ring_floor(ring)), "source",
			 hub_has_source(relay->hub), "writable", hub_writable(relay->hub),
			 "readers", (json_int_t)hub_readers(relay->hub), "writer",
			 hub_has_writer(relay->hub), "file", status_file(ring));
}

static json_t *status_upstreams(const struct relay *relay)
{
	json_t *list = json_array();
	enum upstream_service service;
	const char *name;
	bool writable;

	for (size_t i = 0; upstream_status(relay, i, &service, &name, &writable); i++) {
		json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "service",
						      upstream_service_name(service), "name", name,
						      "mode", writable ? "rw" : "r"));
	}
	return list;
}

static json_t *status_records(const struct relay *relay)
{
	json_t *list = json_array();
	enum fault_code stopped;
	const char *name;
	uint64_t bytes;

	for (size_t i = 0; record_status(relay, i, &name, &bytes, &stopped); i++) {
		json_array_append_new(
			list, json_pack("{s:s, s:I, s:o}", "name", name, "bytes", (json_int_t)bytes,
					"stopped",
					text_or_null(stopped ? fault_code_name(stopped) : NULL)));
	}
	return list;
}

static json_t *status_stacks(const struct relay *r)
{
	json_t *list = json_array();
	const char *name;

	for (size_t i = 0; (name = agent_stack(r->agent, i)); i++) {
		json_array_append_new(list, json_string(name));
	}
	return list;
}

static int method_status(struct method_call *c)
{
	const struct relay *r = c->relay;

	c->result = json_pack("{s:s, s:I, s:o, s:o, s:s, s:o, s:o, s:o, s:I, s:b, s:b, s:I, s:o, "
			      "s:o, s:o, s:I, s:I}",
			      "name", r->name, "pid", (json_int_t)getpid(), "hub", status_hub(r),
			      "history", history_status(r->history), "agent", agent_state(r->agent),
			      "host_key", text_or_null(agent_host_key(r->agent)), "failed",
			      text_or_null(agent_failed(r->agent)), "stacks", status_stacks(r),
			      "displays", (json_int_t)r->n_displays, "gdb", gdb_is_on(r), "stopped",
			      gdb_is_stopped(r), "gdbs", (json_int_t)gdb_count(r), "upstreams",
			      status_upstreams(r), "records", status_records(r), "ports",
			      raw_ports_status(r), "pipes", (json_int_t)pipes_count(r), "grants",
			      (json_int_t)grants_count(&r->grants, clock_monotonic()));
	return c->result ? 0 : -ENOMEM;
}

static int method_listen(struct method_call *c)
{
	struct relay *r = c->relay;

	if (r->streams) {
		return streams_listen_take(r->streams, TAKE_FD(c->fds[0]));
	}
	return streams_new_take(r, TAKE_FD(c->fds[0]), &r->streams);
}

static int method_hub_open(struct method_call *c)
{
	/* Kept, unless it says otherwise. */
	struct hub_file_options o = {
		.writable = param_bool(c, "writable"),
		.kept = !json_is_false(json_object_get(c->params, "keep")),
	};
	uint64_t size;
	bool next;
	int err = param_number(c, "size_bytes", RING_SIZE_MIN, RING_SIZE_MAX, &size);

	if (err < 0) {
		return err;
	}
	o.size_bytes = size;
	err = hub_file_open(c->relay, c->fds[0], c->n_fds > 1 ? c->fds[1] : -1, &o, &next);
	if (err < 0) {
		return err;
	}
	c->result = json_pack("{s:I, s:I, s:b, s:b}", "offset",
			      (json_int_t)ring_head(hub_ring(c->relay->hub)), "size_bytes",
			      (json_int_t)ring_size(hub_ring(c->relay->hub)), "keep",
			      ring_is_kept(hub_ring(c->relay->hub)), "next", next);
	return 0;
}

static int need_hub(struct method_call *c)
{
	return c->relay->hub ? 0 : fault_set(&c->fault, FAULT_CONFLICT, "There is no hub yet.");
}

static void source_drop(struct relay *r)
{
	r->source = hub_source_free(r->source);
}

static void on_source_lost(void *user)
{
	struct relay *r = user;

	source_drop(r);
	hub_source_down(r->hub);
	control_notify(r->control, "hub.lost", NULL);
}

static void on_source_panicked(const char *text, void *user)
{
	struct relay *r = user;

	control_notify(r->control, "hub.panicked", json_pack("{s:s}", "text", text));
}

static void on_broke(const json_t *result, const struct fault *fault, int *fds, size_t n_fds,
		     void *user)
{
	struct relay *r = user;

	if (r->hub) {
		hub_broke(r->hub, !fault);
	}
}

/* Only the hypervisor can make a break. */
static void on_source_break(void *user)
{
	struct relay *r = user;

	if (control_call(r->control, "break", NULL, BREAK_TIMEOUT, on_broke, r) < 0) {
		hub_broke(r->hub, false);
	}
}

static const struct hub_source_ops source_ops = {
	.lost = on_source_lost,
	.brk = on_source_break,
	.panicked = on_source_panicked,
};

static int method_hub_source(struct method_call *c)
{
	struct hub_source_options o = { .writable = param_bool(c, "writable"),
					.fresh = param_bool(c, "fresh") };
	const char *kind = param_text(c, "kind");
	struct relay *r = c->relay;
	int err = need_hub(c);

	if (err < 0) {
		return err;
	}
	if (strcmp(kind, "stream") == 0) {
		o.kind = HUB_SOURCE_STREAM;
	} else if (strcmp(kind, "file") == 0) {
		o.kind = HUB_SOURCE_FILE;
	} else {
		return bad_value(c, "kind");
	}
	source_drop(r);
	err = hub_source_new_take(r->event, r->hub, TAKE_FD(c->fds[0]), &o, &source_ops, r,
				  &r->source);
	if (err < 0) {
		hub_source_down(r->hub);
	}
	return err;
}

static int method_hub_lost(struct method_call *c)
{
	int err = need_hub(c);

	if (err == 0) {
		source_drop(c->relay);
		hub_source_down(c->relay->hub);
	}
	return err;
}

static int method_agent_link(struct method_call *c)
{
	return agent_link_take(c->relay, TAKE_FD(c->fds[0]), json_object_get(c->params, "config"),
			       &c->fault);
}

static int method_agent_config(struct method_call *c)
{
	if (!c->relay->agent) {
		return fault_set(&c->fault, FAULT_CONFLICT, "There is no agent yet.");
	}
	return agent_configure(c->relay, json_object_get(c->params, "config"), &c->fault);
}

static int method_upstream_link(struct method_call *c)
{
	enum upstream_service service;
	const char *name;
	int err = param_name(c, "name", &name);
	uint8_t mode;

	if (err == 0 && upstream_service_parse(param_text(c, "service"), &service) < 0) {
		err = bad_value(c, "service");
	}
	if (err == 0 &&
	    (policy_mode_parse(param_text(c, "mode"), &mode) < 0 || mode & TUNNEL_MODE_TAKE)) {
		err = bad_value(c, "mode");
	}
	if (err == 0) {
		err = upstream_link_take(c->relay, service, name, mode & TUNNEL_MODE_WRITE,
					 TAKE_FD(c->fds[0]), c->request);
	}
	c->later = err == 0;
	return err;
}

static int method_record_open(struct method_call *c)
{
	struct recorder_options o = { .max_bytes = RECORDER_BYTES_MAX };
	const char *name, *upstream;
	uint64_t columns, rows;

	if (param_name(c, "name", &name) < 0 || param_name(c, "upstream", &upstream) < 0 ||
	    param_number(c, "columns", 1, 1000, &columns) < 0 ||
	    param_number(c, "rows", 1, 1000, &rows) < 0) {
		return -EREMOTEIO;
	}
	o.columns = (unsigned)columns;
	o.rows = (unsigned)rows;
	return record_open_take(c->relay, name, upstream, &o, TAKE_FD(c->fds[0]),
				TAKE_FD(c->fds[1]));
}

static int method_history_open(struct method_call *c)
{
	struct recorder_options o = { .columns = 80,
				      .rows = 24,
				      .full = "the console goes on in the next recording" };
	const char *name;
	int err = need_hub(c);

	if (err < 0) {
		return err;
	}
	if (!ring_is_kept(hub_ring(c->relay->hub))) {
		return fault_set(&c->fault, FAULT_CONFLICT, "Nothing of it is to be kept.");
	}
	if (param_name(c, "name", &name) < 0 ||
	    param_number(c, "max_bytes", 65536, RECORDER_BYTES_MAX, &o.max_bytes) < 0) {
		return -EREMOTEIO;
	}
	return history_open_take(c->relay, name, &o, TAKE_FD(c->fds[0]), TAKE_FD(c->fds[1]));
}

static int method_port_open(struct method_call *c)
{
	const char *name;
	int err = param_name(c, "name", &name);

	if (err == 0) {
		err = raw_port_open_take(c->relay, name, TAKE_FD(c->fds[0]));
	}
	return err == -ENOSPC ? fault_set(&c->fault, FAULT_QUOTA, "There are too many ports.")
			      : err;
}

static int method_port_link(struct method_call *c)
{
	const char *name;
	int err = param_name(c, "name", &name);
	uint8_t mode;

	if (err == 0 &&
	    (policy_mode_parse(param_text(c, "mode"), &mode) < 0 || mode & TUNNEL_MODE_TAKE)) {
		err = bad_value(c, "mode");
	}
	if (err == 0) {
		err = raw_port_link_take(c->relay, name, mode & TUNNEL_MODE_WRITE,
					 TAKE_FD(c->fds[0]));
	}
	return err == -ENOSPC ? fault_set(&c->fault, FAULT_QUOTA, "There are too many ports.")
			      : err;
}

static int method_port_close(struct method_call *c)
{
	const char *name;
	int err = param_name(c, "name", &name);

	if (err == 0) {
		raw_port_close(c->relay, name);
	}
	return err;
}

static int method_pipe_open(struct method_call *c)
{
	const char *name;
	int err = param_name(c, "name", &name);

	if (err == 0) {
		err = pipe_open_take(c->relay, name, TAKE_FD(c->fds[0]));
	}
	return err == -ENOSPC ? fault_set(&c->fault, FAULT_QUOTA, "There are too many pipes.")
			      : err;
}

static int method_grant(struct method_call *c)
{
	const char *ticket = param_text(c, "ticket"), *service = param_text(c, "service");
	struct grant g = { .raw = param_bool(c, "raw") };
	usec_t now = clock_monotonic();
	enum fault_code code;
	uint64_t ttl_ms;

	if (strlen(ticket) != SECRET_LEN) {
		return bad_value(c, "ticket");
	}
	if (*service == '\0' || strlen(service) > TUNNEL_SERVICE_MAX) {
		return bad_value(c, "service");
	}
	if (policy_mode_parse(param_text(c, "mode"), &g.mode) < 0) {
		return bad_value(c, "mode");
	}
	if (param_number(c, "ttl_ms", 1, TTL_MS_MAX, &ttl_ms) < 0) {
		return -EREMOTEIO;
	}
	strcpy(g.ticket, ticket);
	strcpy(g.service, service);
	g.expires = now + ttl_ms * USEC_PER_MSEC;
	code = grants_add(&c->relay->grants, &g, now);
	if (code != FAULT_NONE) {
		return fault_set(&c->fault, code, "Too many tickets wait to be used.");
	}
	return 0;
}

static int method_gdb_let_go(struct method_call *c)
{
	gdb_let_go(c->relay);
	return 0;
}

/* The answer is written before the loop comes round to its end. */
static int method_shutdown(struct method_call *c)
{
	return sd_event_exit(c->relay->event, 0) < 0 ? -EIO : 0;
}

static const struct {
	const char *name;
	size_t n_fds;
	int (*run)(struct method_call *c);
} methods[] = {
	{ "hello", 0, method_hello },
	{ "status", 0, method_status },
	{ "listen", 1, method_listen },
	{ "hub.open", 1, method_hub_open },
	{ "hub.source", 1, method_hub_source },
	{ "hub.lost", 0, method_hub_lost },
	{ "agent.link", 1, method_agent_link },
	{ "agent.config", 0, method_agent_config },
	{ "upstream.link", 1, method_upstream_link },
	{ "record.open", 2, method_record_open },
	{ "history.open", 2, method_history_open },
	{ "pipe.open", 1, method_pipe_open },
	{ "port.open", 1, method_port_open },
	{ "port.link", 1, method_port_link },
	{ "port.close", 0, method_port_close },
	{ "grant", 0, method_grant },
	{ "gdb.let_go", 0, method_gdb_let_go },
	{ "shutdown", 0, method_shutdown },
};

/* What an errno of a method means to the caller, where the method did not say more. */
static void fault_of_errno(struct fault *f, int err)
{
	switch (err) {
	case -ENOSPC:
	case -EDQUOT:
		fault_set(f, FAULT_DISK_FULL, "There is no room left.");
		break;
	case -EBADMSG:
		fault_set(f, FAULT_CONFLICT, "The files do not belong together.");
		break;
	case -EINVAL:
		fault_set(f, FAULT_BAD_VALUE, "This kind of file cannot be used for it.");
		break;
	default:
		fault_set(f, FAULT_INTERNAL, "The relay could not do it.");
	}
}

static int method_run(struct method_call *c, const char *name, size_t n_fds)
{
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		if (strcmp(methods[i].name, name) != 0) {
			continue;
		}
		if (n_fds < methods[i].n_fds) {
			return bad_value(c, "(fd)");
		}
		return methods[i].run(c);
	}
	return fault_set(&c->fault, FAULT_NOT_SUPPORTED, "There is no such method.");
}

void methods_call(struct relay *relay, struct rpc_request *r, const char *method,
		  const json_t *params, int *fds, size_t n_fds)
{
	struct method_call c = {
		.relay = relay, .params = params, .fds = fds, .n_fds = n_fds, .request = r
	};
	int err = method_run(&c, method, n_fds);

	if (c.later) {
		return;
	}
	if (err == 0) {
		rpc_request_reply(r, c.result ? c.result : json_object());
		return;
	}
	json_decref(c.result);
	if (c.fault.code == FAULT_NONE) {
		fault_of_errno(&c.fault, err);
		log_warn("%s failed (%d)", method, -err);
	}
	rpc_request_fault(r, &c.fault);
}
