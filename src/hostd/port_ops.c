/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach.port and detach.port: ports of a target as devices of the D-VM.
 *
 * A port's bytes are kept by a hub like a console's: the first serial port's is the console's own,
 * any other has a relay of its own, there for as long as the port is attached somewhere. What is to
 * be attached stands in session.json before anything is made, and leaves the file when all of it is
 * gone; session_link() makes good what died in between.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "file.h"
#include "log.h"
#include "methods.h"
#include "parse.h"
#include "session_file.h"
#include "session_link.h"
#include "stream_connect.h"

#define TARGETS_MAX 64
#define UNPLUG_PATIENCE_MS 5000
/* What the D-VM does not read stands here first: it is old when it is read at last. */
#define SOCKET_BYTES 4096

/* An entry of "ports", read. */
struct entry {
	json_t *json; /* borrowed */
	const char *vm, *domain, *mode;
	enum vm_port port;
	char hub[HUB_NAME_MAX + 1];
	char device[DVM_PORT_NAME_MAX + 1];
};

static bool entry_read(json_t *json, struct entry *ret)
{
	*ret = (struct entry){
		.json = json,
		.vm = session_string(json, "vm"),
		.domain = session_string(json, "domain"),
		.mode = strcmp(session_string(json, "mode"), "rw") == 0 ? "rw" : "r",
	};
	if (vm_port_parse(session_string(json, "port"), &ret->port) < 0 || !vm_id_valid(ret->vm)) {
		return false;
	}
	hub_name(ret->vm, ret->port, ret->hub);
	snprintf(ret->device, sizeof(ret->device), "t%u-%s",
		 (unsigned)json_integer_value(json_object_get(json, "index")) % TARGETS_MAX,
		 vm_port_name(ret->port));
	return true;
}

static json_t *entry_find(const json_t *state, const char *vm, enum vm_port port, size_t *ret_at)
{
	json_t *json;
	size_t i;

	json_array_foreach(json_object_get(state, "ports"), i, json)
	{
		if (strcmp(session_string(json, "vm"), vm) == 0 &&
		    strcmp(session_string(json, "port"), vm_port_name(port)) == 0) {
			*ret_at = i;
			return json;
		}
	}
	return NULL;
}

static struct dvm_port device_of(const char *session, const struct entry *e)
{
	return (struct dvm_port){
		.session = session,
		.name = e->device,
		.parallel = vm_port_is_parallel(e->port),
	};
}

/* --- the hub
 * -----------------------------------------------------------------------------------------------
 */

static int hub_need(struct hostd *h, const struct entry *e, struct fault *fault)
{
	if (e->port == VM_PORT_SERIAL0) {
		return relay_exists(h, e->hub, NULL) ? relay_need(h, e->hub, NULL, fault)
						     : fault_set(fault, FAULT_NOT_ATTACHED,
								 "The VM's console is not kept");
	}
	return relay_need(h, e->hub, e->domain, fault);
}

struct hub_search {
	struct hostd *hostd;
	const char *session; /* whose use does not count */
	const struct entry *entry;
};

static int hub_compare(const char *session, void *user)
{
	const struct hub_search *search = user;
	json_auto_t *state = NULL;
	struct fault fault;
	size_t at;

	return strcmp(session, search->session) != 0 &&
	       session_load(search->hostd, session, &state, &fault) == 0 &&
	       entry_find(state, search->entry->vm, search->entry->port, &at);
}

/* Its relay goes with the last session that has the port; the console's stays. */
static int hub_drop(struct hostd *h, const char *session, const struct entry *e,
		    struct fault *fault)
{
	struct hub_search search = { .hostd = h, .session = session, .entry = e };
	_cleanup_free_ char *folder = strf("%s/consoles/%s", h->state, e->hub);
	int r;

	if (e->port == VM_PORT_SERIAL0 || session_each(h, hub_compare, &search) != 0) {
		return 0;
	}
	r = relay_stop(h, e->hub, fault);
	if (r == 0 && (!folder || dir_remove(folder) < 0)) {
		r = fault_set(fault, FAULT_INTERNAL, "The port's history could not be removed");
	}
	return r;
}

void ports_refresh(struct hostd *h, const char *vm, bool fresh)
{
	for (unsigned i = VM_PORT_SERIAL0 + 1; i < _VM_PORT_MAX; i++) {
		char hub[HUB_NAME_MAX + 1];
		struct fault fault;

		hub_name(vm, (enum vm_port)i, hub);
		if (relay_exists(h, hub, NULL) && console_refresh(h, hub, fresh, &fault) < 0) {
			log_warn("%s: starting without it: %s", hub, fault.message);
		}
	}
}

/* --- the link between the two
 * ------------------------------------------------------------------------------ */

static const json_t *status_port(const json_t *status, const char *device)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(status, "ports"), i, item)
	{
		if (strcmp(session_string(item, "name"), device) == 0) {
			return item;
		}
	}
	return NULL;
}

static int hub_link(struct hostd *h, const char *session, const struct entry *e,
		    struct fault *fault)
{
	_cleanup_close_ int fd = -1;
	int r = hub_need(h, e, fault);

	if (r == 0) {
		/* What the session's relay is to refuse, the hub's refuses too. */
		r = stream_connect(h, e->hub, "console", strcmp(e->mode, "r") == 0 ? "r" : "take",
				   &fd, fault);
	}
	return r < 0 ? r
		     : relay_call(h, session, "port.link",
				  json_pack("{ssss}", "name", e->device, "mode", e->mode), fd, -1,
				  NULL, fault);
}

static int device_open(struct hostd *h, const char *session, const struct entry *e,
		       struct fault *fault)
{
	struct dvm_port device = device_of(session, e);
	_cleanup_close_ int fd = -1;
	int size = SOCKET_BYTES;
	int r = h->hv->ops->dvm_port_open(h->hv, &device, &fd, fault);

	if (r < 0) {
		return r;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return relay_call(h, session, "port.open", json_pack("{ss}", "name", e->device), fd, -1,
			  NULL, fault);
}

static int entry_link(struct hostd *h, const char *session, const struct entry *e,
		      const json_t *status, struct fault *fault)
{
	const json_t *there = status_port(status, e->device);
	int r = 0;

	if (!json_is_true(json_object_get(there, "linked")) ||
	    strcmp(session_string(there, "mode"), e->mode) != 0) {
		r = hub_link(h, session, e, fault);
	}
	if (r == 0 && !json_is_true(json_object_get(there, "open"))) {
		r = device_open(h, session, e, fault);
	}
	return r;
}

void session_ports_link(struct hostd *h, const char *session, const json_t *state,
			const json_t *status)
{
	struct fault fault;
	struct entry e;
	json_t *json;
	size_t i;

	json_array_foreach(json_object_get(state, "ports"), i, json)
	{
		/* One without a place is still being attached. */
		if (entry_read(json, &e) && *session_string(json, "place") &&
		    entry_link(h, session, &e, status, &fault) < 0) {
			log_warn("%s: port %s: %s", session, e.device, fault.message);
		}
	}
}

json_t *session_ports_config(const json_t *state)
{
	json_t *list = json_array();
	const json_t *json;
	size_t i;

	json_array_foreach(json_object_get(state, "ports"), i, json)
	{
		if (*session_string(json, "place")) {
			json_array_append_new(
				list, json_pack("{sOsOsO}", "index", json_object_get(json, "index"),
						"port", json_object_get(json, "port"), "place",
						json_object_get(json, "place")));
		}
	}
	return list;
}

static int agent_tell(struct hostd *h, const char *session, const json_t *state,
		      struct fault *fault)
{
	return relay_call(h, session, "agent.config", session_agent_config(session, state), -1, -1,
			  NULL, fault);
}

/* --- attach and detach
 * ------------------------------------------------------------------------------------- */

static int entry_make(struct hostd *h, const char *session, json_t *state, const struct entry *e,
		      struct fault *fault)
{
	struct dvm_port device = device_of(session, e);
	char place[DVM_PORT_PLACE_MAX + 1];
	json_auto_t *status = NULL;
	int r = hub_need(h, e, fault);

	if (r == 0) {
		r = console_refresh(h, e->hub, false, fault);
	}
	if (r == 0) {
		r = op_failpoint(fault, "hostd.attach.port.hub");
	}
	if (r == 0) {
		r = h->hv->ops->dvm_port_attach(h->hv, &device, place, fault);
	}
	if (r == 0) {
		r = op_failpoint(fault, "hostd.attach.port.plugged");
	}
	if (r < 0) {
		return r;
	}
	json_object_set_new(e->json, "place", json_string(place));
	r = session_save(h, session, state, fault);
	if (r == 0) {
		r = relay_need(h, session, NULL, fault);
	}
	if (r == 0) {
		r = relay_call(h, session, "status", NULL, -1, -1, &status, fault);
	}
	if (r == 0) {
		r = entry_link(h, session, e, status, fault);
	}
	if (r == 0) {
		r = agent_tell(h, session, state, fault);
	}
	return r == 0 ? op_failpoint(fault, "hostd.attach.port.linked") : r;
}

static int entry_undo(struct hostd *h, const char *session, json_t *state, const struct entry *e,
		      struct fault *fault)
{
	struct dvm_port device = device_of(session, e);
	struct fault late;
	size_t at;
	int r;

	/* A relay that is not there has no port either. */
	if (relay_call(h, session, "port.close", json_pack("{ss}", "name", e->device), -1, -1, NULL,
		       &late) < 0 &&
	    late.code != FAULT_RELAY_LOST) {
		*fault = late;
		return -EREMOTEIO;
	}
	r = h->hv->ops->dvm_port_detach(h->hv, &device, UNPLUG_PATIENCE_MS, fault);
	if (r == 0) {
		r = op_failpoint(fault, "hostd.detach.port.gone");
	}
	if (r == 0) {
		r = hub_drop(h, session, e, fault);
	}
	if (r < 0) {
		return r;
	}
	if (entry_find(state, e->vm, e->port, &at)) {
		json_array_remove(json_object_get(state, "ports"), at);
	}
	r = session_save(h, session, state, fault);
	if (r == 0 && agent_tell(h, session, state, &late) < 0) {
		log_debug("%s: the agent is told later: %s", session, late.message);
	}
	return r;
}

static bool mode_valid(const char *s)
{
	return strcmp(s, "r") == 0 || strcmp(s, "rw") == 0;
}

static bool port_valid(const char *s)
{
	enum vm_port port;

	return vm_port_parse(s, &port) == 0;
}

/* The entry as the parameters want it, in `state` and in its file. */
static int entry_note(struct op *op, const char *session, json_t *state, const json_t *wanted,
		      enum vm_port port, json_t **ret)
{
	json_t *ports = json_object_get(state, "ports"), *entry;
	size_t at;
	int r;

	if (!ports) {
		ports = json_array();
		json_object_set_new(state, "ports", ports);
	}
	entry = entry_find(state, session_string(wanted, "vm"), port, &at);
	r = entry ? json_object_set(entry, "mode", json_object_get(wanted, "mode"))
		  : json_array_append(ports, (json_t *)wanted);
	if (r < 0) {
		return op_no_memory(op);
	}
	*ret = entry ? entry : (json_t *)wanted;
	return session_save(op->hostd, session, state, &op->fault);
}

static int attach_port(struct op *op)
{
	struct hostd *h = op->hostd;
	const char *session = op_string(op, "session", session_id_valid);
	const char *vm = op_string(op, "vm", vm_id_valid);
	const char *domain = op_string(op, "domain", domain_ref_valid);
	const char *name = op_string(op, "port", port_valid);
	const char *mode = op_string(op, "mode", mode_valid);
	json_auto_t *state = NULL, *wanted = NULL;
	enum vm_port port;
	struct fault late;
	struct entry e;
	uint64_t index;
	json_t *json = NULL;
	int r;

	if (!session || !vm || !domain || !name || !mode || vm_port_parse(name, &port) < 0 ||
	    op_number(op, "index", 0, TARGETS_MAX - 1, &index) < 0) {
		return -EREMOTEIO;
	}
	r = op_failpoint(&op->fault, "hostd.attach.port.begin");
	if (r == 0) {
		r = session_load(h, session, &state, &op->fault);
	}
	if (r < 0) {
		return r;
	}
	wanted = json_pack("{sssssIssss}", "vm", vm, "domain", domain, "index", (json_int_t)index,
			   "port", name, "mode", mode);
	if (!wanted) {
		return op_no_memory(op);
	}
	r = entry_note(op, session, state, wanted, port, &json);
	if (r == 0) {
		r = op_failpoint(&op->fault, "hostd.attach.port.recorded");
	}
	if (r < 0 || !entry_read(json, &e)) {
		return r < 0 ? r : op_no_memory(op);
	}
	r = entry_make(h, session, state, &e, &op->fault);
	if (r < 0) {
		if (entry_undo(h, session, state, &e, &late) < 0) {
			/* The entry stays for detach.port or session.release. */
			log_warn("%s: port %s not detached: %s", session, e.device, late.message);
		}
		return r;
	}
	op->result = json_pack("{s[s]}", "devices", vm_port_device(port));
	return op->result ? 0 : op_no_memory(op);
}

static int detach_port(struct op *op)
{
	const char *session = op_string(op, "session", session_id_valid);
	const char *vm = op_string(op, "vm", vm_id_valid);
	const char *name = op_string(op, "port", port_valid);
	json_auto_t *state = NULL, *json = NULL;
	enum vm_port port;
	struct entry e;
	size_t at;
	int r;

	if (!session || !vm || !name || vm_port_parse(name, &port) < 0) {
		return -EREMOTEIO;
	}
	r = op_failpoint(&op->fault, "hostd.detach.port.begin");
	if (r == 0) {
		r = session_load(op->hostd, session, &state, &op->fault);
	}
	if (r < 0) {
		return op->fault.code == FAULT_NOT_FOUND ? 0 : r;
	}
	json = json_incref(entry_find(state, vm, port, &at));
	if (!json || !entry_read(json, &e)) {
		return 0;
	}
	return entry_undo(op->hostd, session, state, &e, &op->fault);
}

int ports_drop_all(struct hostd *h, const char *session, const json_t *state, struct fault *fault)
{
	struct entry e;
	json_t *json;
	size_t i;
	int r = 0;

	json_array_foreach(json_object_get(state, "ports"), i, json)
	{
		if (r == 0 && entry_read(json, &e)) {
			r = hub_drop(h, session, &e, fault);
		}
	}
	return r;
}

json_t *ports_list(const json_t *state)
{
	json_t *list = json_array();
	const json_t *json;
	size_t i;

	json_array_foreach(json_object_get(state, "ports"), i, json)
	{
		if (*session_string(json, "place")) {
			json_array_append_new(list,
					      json_pack("{ssss}", "vm", session_string(json, "vm"),
							"port", session_string(json, "port")));
		}
	}
	return list;
}

const struct op_method port_methods[] = {
	{ .name = "attach.port", .key = "session", .run = attach_port },
	{ .name = "detach.port", .key = "session", .run = detach_port },
	{ .name = NULL },
};
