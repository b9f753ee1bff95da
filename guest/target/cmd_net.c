/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target net: sockets, interfaces and routes of the target.
 *
 * Sockets are those that a process has open; one that is only the kernel's (a connection in its
 * last state) is not among them.
 */
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "net.h"
#include "object.h"

#define SOCKETS_MAX 65536

static const struct column socket_columns[] = {
	{ "protocol", "PROTOCOL", false },
	{ "state", "STATE", false },
	{ "receive_queue", "RECV-Q", true },
	{ "send_queue", "SEND-Q", true },
	{ "local", "LOCAL", false },
	{ "peer", "PEER", false },
	{ "pid", "PID", true },
	{ "fd", "FD", true },
	{ "process", "PROCESS", false },
};

static const struct column interface_columns[] = {
	{ "index", "INDEX", true },	   { "name", "NAME", false },
	{ "state", "STATE", false },	   { "mtu", "MTU", true },
	{ "hardware", "HARDWARE", false }, { "addresses", "ADDRESSES", false },
};

static const struct column route_columns[] = {
	{ "destination", "DESTINATION", false },
	{ "gateway", "GATEWAY", false },
	{ "device", "DEVICE", false },
	{ "metric", "METRIC", true },
	{ "type", "TYPE", false },
};

struct sockets {
	struct table *table;
	const struct task *task;
	uint64_t seen[SOCKETS_MAX]; /* hashed: who inherits a socket has the same one */
	unsigned n;
};

/* True if it was not. */
static bool remember(struct sockets *s, uint64_t socket)
{
	size_t at = (size_t)((socket * 0x9e3779b97f4a7c15u) >> 48);

	if (s->n + 1 >= SOCKETS_MAX) {
		return false;
	}
	while (s->seen[at]) {
		if (s->seen[at] == socket) {
			return false;
		}
		at = (at + 1) % SOCKETS_MAX;
	}
	s->seen[at] = socket;
	s->n++;
	return true;
}

static bool visit(struct kernel *k, unsigned fd, uint64_t file, void *user)
{
	struct sockets *s = user;
	uint64_t socket = path_socket(k, file);
	struct socket_info i;

	if (!socket || !remember(s, socket)) {
		return true;
	}
	socket_read(k, socket, &i);
	table_text(s->table, "%s", i.protocol);
	table_text(s->table, "%s", i.state);
	table_number(s->table, (int64_t)i.receive_queue);
	table_number(s->table, (int64_t)i.send_queue);
	table_text(s->table, "%s", i.local);
	table_text(s->table, "%s", i.peer);
	table_number(s->table, s->task->tgid);
	table_number(s->table, fd);
	table_text(s->table, "%s", s->task->name);
	return true;
}

static int fill_sockets(struct kernel *k, struct invocation *in, struct table *table,
			struct fault *ret_fault)
{
	struct sockets *s = calloc(1, sizeof(*s));
	struct tasks tasks;

	if (!s || tasks_load(k, false, &tasks) < 0) {
		free(s);
		return fault_set(ret_fault, FAULT_INTERNAL, "no memory");
	}
	s->table = table;
	for (size_t i = 0; i < tasks.n; i++) {
		s->task = &tasks.list[i];
		if (!s->task->kernel_thread) {
			files_each(k, s->task, visit, s);
		}
	}
	if (s->n + 1 >= SOCKETS_MAX) {
		kernel_mark(k, "there are more than %d sockets", SOCKETS_MAX - 1);
	}
	tasks_fini(&tasks);
	free(s);
	return 0;
}

/* The network of process 1. */
static uint64_t network(struct kernel *k)
{
	uint64_t init = kernel_symbol_or_zero(k, "init_task");
	uint64_t net = init ? object_u64(k, "task_struct", init, "nsproxy->net_ns") : 0;

	return net ? net : kernel_symbol_or_zero(k, "init_net");
}

static void interface_row(const struct interface_info *i, void *user)
{
	table_number(user, i->index);
	table_text(user, "%s", i->name);
	table_text(user, "%s%s", i->up ? "up" : "down", i->up && !i->carrier ? ", no carrier" : "");
	table_number(user, i->mtu);
	table_text(user, "%s", i->hardware[0] ? i->hardware : "-");
	table_text(user, "%s", i->addresses[0] ? i->addresses : "-");
}

static int fill_interfaces(struct kernel *k, struct invocation *in, struct table *table,
			   struct fault *ret_fault)
{
	interfaces_each(k, network(k), interface_row, table);
	return 0;
}

static void route_row(const struct route_info *r, void *user)
{
	table_text(user, "%s", r->destination);
	table_text(user, "%s", r->gateway);
	table_text(user, "%s", r->device);
	table_number(user, r->metric);
	table_text(user, "%s", r->type);
}

static int fill_routes(struct kernel *k, struct invocation *in, struct table *table,
		       struct fault *ret_fault)
{
	routes_each(k, network(k), route_row, table);
	return 0;
}

int cmd_net(const struct command *c, struct invocation *in)
{
	const char *what = in->argc ? in->argv[0] : "sockets";

	if (strcmp(what, "interfaces") == 0) {
		return memory_table(in, "interfaces", interface_columns,
				    ARRAY_SIZE(interface_columns), fill_interfaces);
	}
	if (strcmp(what, "routes") == 0) {
		return memory_table(in, "routes", route_columns, ARRAY_SIZE(route_columns),
				    fill_routes);
	}
	if (strcmp(what, "sockets") != 0) {
		return usage(c);
	}
	return memory_table(in, "sockets", socket_columns, ARRAY_SIZE(socket_columns),
			    fill_sockets);
}
