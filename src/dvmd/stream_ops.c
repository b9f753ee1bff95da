/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tickets for streams.
 *
 * Theory of operation: all tickets live equally long, so the list in the order they were made is
 * also that of their ends: whoever comes sweeps its head. A ticket is recorded only after the relay
 * knows it.
 */
#include "stream_ops.h"

#include <errno.h>
#include <string.h>

#include "access.h"
#include "clock.h"
#include "engine.h"
#include "events.h"
#include "host_link.h"
#include "later.h"
#include "list.h"
#include "log.h"
#include "map.h"
#include "parse.h"
#include "sha256.h"
#include "view.h"

#define GRANT_TIMEOUT (10 * USEC_PER_SEC)

struct ticket {
	struct list link;
	char hash[SHA256_HEX_LEN + 1];
	char *path;
	bool raw;
	usec_t expires; /* monotonic */
};

struct tickets {
	struct map *by_hash;
	struct list in_order;
};

int tickets_new(struct tickets **ret)
{
	struct tickets *t = calloc(1, sizeof(*t));

	if (!t) {
		return -ENOMEM;
	}
	list_init(&t->in_order);
	t->by_hash = map_new();
	if (!t->by_hash) {
		free(t);
		return -ENOMEM;
	}
	*ret = t;
	return 0;
}

static void ticket_free(struct tickets *t, struct ticket *ticket)
{
	map_remove(t->by_hash, ticket->hash);
	list_del(&ticket->link);
	free(ticket->path);
	free(ticket);
}

struct tickets *tickets_free(struct tickets *t)
{
	if (t) {
		struct ticket *ticket, *next;

		list_for_each_safe (ticket, next, &t->in_order, link) {
			ticket_free(t, ticket);
		}
		map_free(t->by_hash);
		free(t);
	}
	return NULL;
}

static void sweep(struct tickets *t)
{
	usec_t now = clock_monotonic();
	struct ticket *ticket, *next;

	list_for_each_safe (ticket, next, &t->in_order, link) {
		if (ticket->expires > now) {
			break;
		}
		ticket_free(t, ticket);
	}
}

static int ticket_add(struct tickets *t, const char *secret, const char *path, bool raw)
{
	struct ticket *ticket = calloc(1, sizeof(*ticket));

	if (!ticket) {
		return -ENOMEM;
	}
	list_init(&ticket->link);
	sha256_hex(secret, strlen(secret), ticket->hash);
	ticket->raw = raw;
	ticket->expires = clock_monotonic() + TICKET_TTL;
	ticket->path = strdup(path);
	if (!ticket->path || map_put(t->by_hash, ticket->hash, ticket, NULL) < 0) {
		free(ticket->path);
		free(ticket);
		return -ENOMEM;
	}
	list_add_tail(&t->in_order, &ticket->link);
	return 0;
}

int ticket_redeem(struct dvmd *d, const char *secret, json_t **ret, struct fault *fault)
{
	char hash[SHA256_HEX_LEN + 1];
	struct ticket *ticket = NULL;

	sweep(d->tickets);
	if (strnlen(secret, SECRET_LEN + 1) == SECRET_LEN) {
		sha256_hex(secret, SECRET_LEN, hash);
		ticket = map_get(d->tickets->by_hash, hash);
	}
	if (!ticket) {
		metrics_count(d->metrics, METRIC_TICKETS, "refused");
		return fault_set(fault, FAULT_TICKET_INVALID, "The ticket is not valid");
	}
	*ret = json_pack("{s:s,s:b}", "path", ticket->path, "raw", ticket->raw);
	ticket_free(d->tickets, ticket);
	if (!*ret) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory");
	}
	metrics_count(d->metrics, METRIC_TICKETS, "redeemed");
	return 0;
}

/* One stream that is being opened. */
struct opening {
	struct dvmd *d;
	struct principal who;
	char relay[ID_MAX], session[ID_MAX], vm[ID_MAX], project[ID_MAX];
	char service[NAME_MAX_LEN + 16];
	char mode[8];
	bool raw;
	char secret[SECRET_LEN + 1];
	ops_reply_fn fn;
	void *user;
};

static int record(struct opening *o, struct fault *fault)
{
	struct dvmd *d = o->d;
	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
	int r = store_tx_begin(&tx, d->store, fault);

	if (r == 0) {
		r = events_add(d->events, "stream.opened", o->session[0] ? o->session : NULL,
			       o->vm[0] ? o->vm : NULL, o->project,
			       json_pack("{s:s,s:s}", "service", o->service, "mode", o->mode),
			       fault);
	}
	if (r == 0) {
		r = audit_add(d->events, &o->who, o->project, o->session[0] ? o->session : NULL,
			      "stream.open", o->relay, o->service, FAULT_NONE, fault);
	}
	if (r == 0) {
		r = store_tx_commit(&tx, fault);
	}
	if (r == 0) {
		events_committed(d->events);
	}
	return r;
}

static void granted(const json_t *result, const struct fault *away, void *user)
{
	struct opening *o = user;
	struct dvmd *d = o->d;
	const char *path = json_string_value(json_object_get(result, "path"));
	struct fault fault;
	int r = 0;

	if (away) {
		fault = *away;
		r = -EREMOTEIO;
	} else if (!path) {
		r = fault_set(&fault, FAULT_PROTOCOL, "The host's answer is not understood");
	}
	if (r == 0) {
		r = record(o, &fault);
	}
	if (r == 0 && ticket_add(d->tickets, o->secret, path, o->raw) < 0) {
		r = fault_set(&fault, FAULT_INTERNAL, "Out of memory");
	}
	if (r < 0) {
		o->fn(NULL, &fault, o->user);
	} else {
		_cleanup_free_ char *url = strf("/v1/streams/%s", o->secret);

		metrics_count(d->metrics, METRIC_TICKETS, "made");
		if (o->session[0]) {
			engine_used(d->engine, o->session);
		}
		now_result(url ? json_pack("{s:s,s:s,s:o,s:s,s:s,s:b}", "ticket", o->secret, "url",
					   url, "expires", view_time(clock_realtime() + TICKET_TTL),
					   "service", o->service, "mode", o->mode, "raw", o->raw)
			       : NULL,
			   o->fn, o->user);
	}
	explicit_bzero(o->secret, sizeof(o->secret));
	free(o);
}

static int prepare_vm(struct opening *o, const struct stream_spec *spec, unsigned rights,
		      struct fault *fault)
{
	struct vm_row vm;
	int r = access_vm(o->d, &o->who, spec->vm, rights, "stream.open", &vm, fault);

	if (r < 0) {
		return r;
	}
	if (vm.state == VM_GONE) {
		return fault_set(fault, FAULT_VM_GONE, "VM %s no longer exists", vm.name);
	}
	strcpy(o->relay, vm.id);
	strcpy(o->vm, vm.id);
	strcpy(o->project, vm.project);
	snprintf(o->service, sizeof(o->service), "%s", spec->kind);
	return 0;
}

static int prepare_target(struct opening *o, const struct stream_spec *spec, struct fault *fault)
{
	const char *ref = spec->vm;
	struct target_row targets[SESSION_TARGETS_MAX];
	size_t n = 0;
	int r = store_target_list(o->d->store, o->session, targets, &n, fault);

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (!ref || strcmp(ref, targets[i].vm) == 0 || strcmp(ref, targets[i].name) == 0) {
			strcpy(o->vm, targets[i].vm);
			snprintf(o->service, sizeof(o->service), "%s/%s", spec->kind,
				 targets[i].name);
			return 0;
		}
	}
	return r < 0 ? r
		     : fault_set(fault, FAULT_NOT_FOUND, "The session has no target \"%.64s\"",
				 ref ?: "");
}

static int prepare_session(struct opening *o, const struct stream_spec *spec, unsigned rights,
			   struct fault *fault)
{
	bool ssh = strcmp(spec->kind, "ssh") == 0;
	struct session_row row;
	int r = access_session(o->d, &o->who, spec->session, rights,
			       ssh || rights & (RIGHT_TYPE | RIGHT_DEBUG), "stream.open", &row,
			       fault);

	if (r < 0) {
		return r;
	}
	strcpy(o->relay, row.id);
	strcpy(o->session, row.id);
	strcpy(o->project, row.project);
	if (row.state >= SESSION_DETACHING) {
		r = fault_set(fault, FAULT_SESSION_ENDED, "Session %s has ended", row.id);
	} else if (row.state < SESSION_ATTACHING) {
		r = fault_set(fault, FAULT_SESSION_NOT_READY, "Session %s is %s", row.id,
			      session_state_name(row.state));
	}
	session_row_fini(&row);
	if (r == 0 && ssh) {
		strcpy(o->service, "ssh");
	} else if (r == 0) {
		r = prepare_target(o, spec, fault);
	}
	return r;
}

static int prepare(struct opening *o, const struct stream_spec *spec, struct fault *fault)
{
	bool ssh = strcmp(spec->kind, "ssh") == 0;
	bool gdb = strcmp(spec->kind, "gdb") == 0;
	bool of_vm = gdb || strcmp(spec->kind, "console") == 0 || strcmp(spec->kind, "vnc") == 0;
	const char *mode = ssh ? "rw" : spec->mode ?: "r";
	unsigned rights = RIGHT_VIEW;

	if (!ssh && !of_vm) {
		return fault_set(fault, FAULT_BAD_VALUE, "kind must be ssh, console, vnc or gdb");
	}
	if (strcmp(mode, "r") != 0 && strcmp(mode, "rw") != 0 && strcmp(mode, "take") != 0) {
		return fault_set(fault, FAULT_BAD_VALUE, "mode must be r, rw or take");
	}
	if (map_size(o->d->tickets->by_hash) >= TICKETS_MAX) {
		return fault_set(fault, FAULT_QUOTA, "Too many tickets wait to be used");
	}
	strcpy(o->mode, mode);
	o->raw = spec->raw;
	if (ssh) {
		rights |= RIGHT_DEBUG;
	} else if (gdb) {
		rights |= strcmp(mode, "r") != 0 ? RIGHT_MEMORY | RIGHT_DEBUG : RIGHT_MEMORY;
	} else if (strcmp(mode, "r") != 0) {
		rights |= RIGHT_TYPE;
	}
	if (spec->session) {
		return prepare_session(o, spec, rights, fault);
	}
	if (ssh) {
		return fault_set(fault, FAULT_BAD_VALUE, "Only sessions have ssh");
	}
	return prepare_vm(o, spec, rights, fault);
}

void stream_open(struct dvmd *d, const struct principal *p, const struct stream_spec *spec,
		 ops_reply_fn fn, void *user)
{
	struct opening *o = calloc(1, sizeof(*o));
	struct fault fault;

	if (!o) {
		fault_set(&fault, FAULT_INTERNAL, "Out of memory");
		later_fault(d->event, &fault, fn, user);
		return;
	}
	o->d = d;
	o->who = *p;
	o->fn = fn;
	o->user = user;
	sweep(d->tickets);
	if (prepare(o, spec, &fault) < 0) {
		free(o);
		later_fault(d->event, &fault, fn, user);
		return;
	}
	random_secret(o->secret);
	host_link_call(d->host, "stream.grant",
		       json_pack("{s:s,s:s,s:s,s:s,s:b,s:I}", "relay", o->relay, "ticket",
				 o->secret, "service", o->service, "mode", o->mode, "raw", o->raw,
				 "ttl_ms", (json_int_t)(TICKET_TTL / USEC_PER_MSEC)),
		       GRANT_TIMEOUT, granted, o);
}
