/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach.memory and detach.memory: the memory of a running target as a disk of the D-VM.
 *
 * A server of its own (PROTOCOL.memory) serves it, which lives as a relay does. What the device
 * looks like stands in session.json before there is one, so that whatever dies, what comes back is
 * the same device; the memory behind it is given to the server anew whenever the server, this
 * program, or the target was started. What the D-VM sees of a target that has another layout now is
 * an error, until the memory is attached anew.
 */
#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "log.h"
#include "methods.h"
#include "once.h"
#include "parse.h"
#include "session_file.h"

#define TARGETS_MAX 64
#define UNPLUG_PATIENCE_MS 5000
#define REFRESH_RETRY USEC_PER_SEC

/* An entry of "memories", read. */
struct entry {
	json_t *json; /* borrowed */
	const char *vm, *domain;
	char server[HUB_NAME_MAX + 1];
	char serial[DISK_SERIAL_MAX + 1];
};

static bool entry_read(const char *session, json_t *json, struct entry *ret)
{
	unsigned index = (unsigned)json_integer_value(json_object_get(json, "index")) % TARGETS_MAX;

	*ret = (struct entry){
		.json = json,
		.vm = session_string(json, "vm"),
		.domain = session_string(json, "domain"),
	};
	memory_name(session, index, ret->server);
	snprintf(ret->serial, sizeof(ret->serial), "t%u-memory", index);
	return vm_id_valid(ret->vm);
}

static void memory_close(struct domain_memory *memory)
{
	memory->fd = close_fd(memory->fd);
}

static int no_memory(struct fault *fault)
{
	return fault_set(fault, FAULT_INTERNAL, "Out of memory");
}

/* --- the server
 */

/* What the device looks like from now on. */
static int shape_note(struct hostd *h, const char *session, json_t *state, const struct entry *e,
		      const struct domain_memory *memory, struct fault *fault)
{
	json_t *ranges = json_array();

	for (size_t i = 0; i < memory->n_ranges; i++) {
		json_array_append_new(ranges,
				      json_pack("[II]", (json_int_t)memory->ranges[i].address,
						(json_int_t)memory->ranges[i].length));
	}
	if (json_object_set_new(e->json, "ranges", ranges) < 0 ||
	    json_object_set_new(e->json, "vcpus", json_integer(memory->vcpus)) < 0) {
		return no_memory(fault);
	}
	return session_save(h, session, state, fault);
}

/* Where one range of the device is in the memory of now; UINT64_MAX: nowhere. */
static uint64_t place_find(const struct domain_memory *memory, const json_t *range)
{
	uint64_t address = (uint64_t)json_integer_value(json_array_get(range, 0));
	uint64_t length = (uint64_t)json_integer_value(json_array_get(range, 1));

	for (size_t i = 0; i < memory->n_ranges; i++) {
		const struct domain_range *r = &memory->ranges[i];

		if (address >= r->address && length <= r->length &&
		    address - r->address <= r->length - length) {
			return r->place + (address - r->address);
		}
	}
	return UINT64_MAX;
}

/* NULL: not all of the device is there any more. */
static json_t *places_find(const struct domain_memory *memory, const json_t *ranges)
{
	json_t *places = json_array();
	const json_t *range;
	size_t i;

	json_array_foreach(ranges, i, range)
	{
		uint64_t place = place_find(memory, range);

		if (place > INT64_MAX) {
			json_decref(places);
			return NULL;
		}
		json_array_append_new(places, json_integer((json_int_t)place));
	}
	return places;
}

/* Gives the server the memory, or tells it that there is none. *ret_open: which. */
static int server_feed(struct hostd *h, const struct entry *e, const struct domain_memory *memory,
		       bool *ret_open, struct fault *fault)
{
	const json_t *ranges = json_object_get(e->json, "ranges");
	json_t *places = memory ? places_find(memory, ranges) : NULL;
	int r;

	*ret_open = false;
	r = relay_call(
		h, e->server, "memory.shape",
		json_pack("{sOsO}", "ranges", ranges, "vcpus", json_object_get(e->json, "vcpus")),
		-1, -1, NULL, fault);
	if (r == 0 && places) {
		*ret_open = true;
		return relay_call(h, e->server, "memory.open", json_pack("{so}", "places", places),
				  memory->fd, -1, NULL, fault);
	}
	json_decref(places);
	return r < 0 ? r : relay_call(h, e->server, "memory.close", NULL, -1, -1, NULL, fault);
}

/* --- attach.memory
 */

static int device_plug(struct hostd *h, const char *session, const struct entry *e,
		       struct fault *fault)
{
	_cleanup_free_ char *path = relay_path(h, e->server, "nbd.sock");
	struct dvm_disk disk = {
		.session = session,
		.serial = e->serial,
		.source = path,
		.format = "raw",
		.backend = DISK_BACKEND_NBD,
		.readonly = true,
	};

	return path ? h->hv->ops->dvm_disk_attach(h->hv, &disk, fault) : no_memory(fault);
}

static int entry_make(struct hostd *h, const char *session, json_t *state, const struct entry *e,
		      struct fault *fault)
{
	_cleanup_(memory_close) struct domain_memory memory = { .fd = -1 };
	bool open;
	int r;

	if (!h->memory_plugin) {
		return fault_set(fault, FAULT_NOT_SUPPORTED,
				 "This host cannot show the memory of a running VM");
	}
	r = h->hv->ops->memory_open(h->hv, e->domain, &memory, fault);
	if (r == 0 && !json_is_true(json_object_get(e->json, "attached"))) {
		r = shape_note(h, session, state, e, &memory, fault);
	}
	if (r == 0) {
		r = op_failpoint(fault, "hostd.attach.memory.noted");
	}
	if (r == 0) {
		r = relay_need(h, e->server, e->domain, fault);
	}
	if (r == 0) {
		r = server_feed(h, e, &memory, &open, fault);
	}
	if (r == 0) {
		r = device_plug(h, session, e, fault);
	}
	if (r == 0) {
		r = op_failpoint(fault, "hostd.attach.memory.plugged");
	}
	if (r < 0) {
		return r;
	}
	json_object_set_new(e->json, "attached", json_true());
	return session_save(h, session, state, fault);
}

static int entry_undo(struct hostd *h, const char *session, json_t *state, const struct entry *e,
		      struct fault *fault)
{
	int r = h->hv->ops->dvm_disk_detach(h->hv, session, e->serial, UNPLUG_PATIENCE_MS, fault);

	if (r == 0) {
		r = op_failpoint(fault, "hostd.detach.memory.gone");
	}
	if (r == 0) {
		r = relay_stop(h, e->server, fault);
	}
	if (r < 0) {
		return r;
	}
	session_entry_remove(state, "memories", e->vm);
	return session_save(h, session, state, fault);
}

/* The entry as the parameters want it, in `state` and in its file. */
static int entry_note(struct op *op, const char *session, json_t *state, json_t *wanted,
		      json_t **ret)
{
	json_t *entry = session_entry(state, "memories", session_string(wanted, "vm"));

	if (!entry) {
		if (!json_object_get(state, "memories")) {
			json_object_set_new(state, "memories", json_array());
		}
		if (json_array_append(json_object_get(state, "memories"), wanted) < 0) {
			return op_no_memory(op);
		}
		entry = wanted;
	}
	*ret = entry;
	return session_save(op->hostd, session, state, &op->fault);
}

static int attach_memory(struct op *op)
{
	struct hostd *h = op->hostd;
	const char *session = op_string(op, "session", session_id_valid);
	const char *vm = op_string(op, "vm", vm_id_valid);
	const char *domain = op_string(op, "domain", domain_ref_valid);
	json_auto_t *state = NULL, *wanted = NULL, *json = NULL;
	struct fault late;
	struct entry e;
	uint64_t index;
	int r;

	if (!session || !vm || !domain || op_number(op, "index", 0, TARGETS_MAX - 1, &index) < 0) {
		return -EREMOTEIO;
	}
	r = op_failpoint(&op->fault, "hostd.attach.memory.begin");
	if (r == 0) {
		r = session_load(h, session, &state, &op->fault);
	}
	if (r < 0) {
		return r;
	}
	wanted = json_pack("{sssssI}", "vm", vm, "domain", domain, "index", (json_int_t)index);
	if (!wanted) {
		return op_no_memory(op);
	}
	r = entry_note(op, session, state, wanted, &json);
	json_incref(json);
	if (r < 0 || !entry_read(session, json, &e)) {
		return r < 0 ? r : op_no_memory(op);
	}
	r = entry_make(h, session, state, &e, &op->fault);
	if (r < 0) {
		if (entry_undo(h, session, state, &e, &late) < 0) {
			/* The entry stays for detach.memory or session.release. */
			log_warn("%s: %s not detached: %s", session, e.serial, late.message);
		}
		return r;
	}
	op->result = json_pack("{s[s]}", "devices", e.serial);
	return op->result ? 0 : op_no_memory(op);
}

static int detach_memory(struct op *op)
{
	const char *session = op_string(op, "session", session_id_valid);
	const char *vm = op_string(op, "vm", vm_id_valid);
	json_auto_t *state = NULL, *json = NULL;
	struct entry e;
	int r;

	if (!session || !vm) {
		return -EREMOTEIO;
	}
	r = session_load(op->hostd, session, &state, &op->fault);
	if (r < 0) {
		return op->fault.code == FAULT_NOT_FOUND ? 0 : r;
	}
	json = json_incref(session_entry(state, "memories", vm));
	if (!json || !entry_read(session, json, &e)) {
		return 0;
	}
	return entry_undo(op->hostd, session, state, &e, &op->fault);
}

/* --- of our own accord
 */

static json_t *entry_of_server(const char *session, const json_t *state, const char *server,
			       struct entry *ret)
{
	json_t *json;
	size_t i;

	json_array_foreach(json_object_get(state, "memories"), i, json)
	{
		if (entry_read(session, json, ret) && strcmp(ret->server, server) == 0) {
			return json;
		}
	}
	return NULL;
}

static int refresh_run(struct op *op)
{
	struct hostd *h = op->hostd;
	const char *session = op_string(op, "session", session_id_valid);
	const char *server = op_string(op, "server", memory_name_valid);
	_cleanup_(memory_close) struct domain_memory memory = { .fd = -1 };
	json_auto_t *state = NULL;
	struct fault none;
	struct entry e;
	bool there, open;
	int r;

	if (!session || !server) {
		return -EREMOTEIO;
	}
	r = session_load(h, session, &state, &op->fault);
	if (r < 0 && op->fault.code != FAULT_NOT_FOUND) {
		return r;
	}
	if (r < 0 || !entry_of_server(session, state, server, &e)) {
		return relay_stop(h, server, &op->fault);
	}
	if (!json_object_get(e.json, "ranges")) {
		return 0; /* attach.memory goes on from here, or undoes it */
	}
	there = h->hv->ops->memory_open(h->hv, e.domain, &memory, &none) == 0;
	if (!there && none.code != FAULT_VM_NOT_RUNNING && none.code != FAULT_VM_GONE) {
		op->fault = none;
		return -EREMOTEIO; /* what the server has may still be right */
	}
	r = relay_need(h, server, e.domain, &op->fault);
	if (r == 0) {
		r = server_feed(h, &e, there ? &memory : NULL, &open, &op->fault);
	}
	if (r == 0 && there && !open) {
		log_info("%s: the memory of %s has another layout than what is attached", session,
			 e.vm);
	}
	return r;
}

struct again {
	struct hostd *hostd;
	char server[HUB_NAME_MAX + 1];
};

static void on_again(void *user)
{
	const struct again *again = user;

	if (relay_find(again->hostd->relays, again->server)) {
		live_refresh_start(again->hostd, again->server);
	}
}

/* What could not be done now, the hypervisor being busy or away, is done in a moment. */
static void refresh_finish(struct op *op)
{
	const char *server = json_string_value(json_object_get(op->params, "server"));
	struct again *again =
		op->status < 0 && !op->hostd->stopping ? calloc(1, sizeof(*again)) : NULL;

	if (!again) {
		return;
	}
	again->hostd = op->hostd;
	snprintf(again->server, sizeof(again->server), "%s", server);
	if (once_later(op->hostd->event, REFRESH_RETRY, on_again, free, again) < 0) {
		free(again);
	}
}

static const struct op_method refresh_method = {
	.name = "memory refresh",
	.key = "session",
	.run = refresh_run,
	.finish = refresh_finish,
};

void live_refresh_start(struct hostd *h, const char *name)
{
	char session[DVM_SESSION_MAX + 1];

	memory_session(name, session);
	op_start(h, &refresh_method, json_pack("{ssss}", "session", session, "server", name), NULL);
}

static int registers_run(struct op *op)
{
	struct hostd *h = op->hostd;
	const char *domain = op_string(op, "domain", domain_ref_valid);
	_cleanup_free_ struct cpu_state *cpus = calloc(CPUS_MAX, sizeof(*cpus));
	json_t *list;
	size_t n;
	int r;

	if (!domain) {
		return -EREMOTEIO;
	}
	if (!cpus) {
		return op_no_memory(op);
	}
	r = h->hv->ops->registers(h->hv, domain, cpus, &n, &op->fault);
	if (r < 0) {
		return r;
	}
	list = json_array();
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(list, cpu_state_to_json(&cpus[i]));
	}
	op->result = json_pack("{so}", "cpus", list);
	return op->result ? 0 : op_no_memory(op);
}

static const struct op_method registers_method = {
	.name = "registers",
	.key = "domain",
	.kind = "registers",
	.run = registers_run,
};

void live_registers_start(struct hostd *h, const char *domain, struct rpc_request *request)
{
	op_start(h, &registers_method, json_pack("{ss}", "domain", domain), request);
}

int live_drop_all(struct hostd *h, const char *session, const json_t *state, struct fault *fault)
{
	struct entry e;
	json_t *json;
	size_t i;
	int r = 0;

	json_array_foreach(json_object_get(state, "memories"), i, json)
	{
		if (r == 0 && entry_read(session, json, &e)) {
			r = relay_stop(h, e.server, fault);
		}
	}
	return r;
}

json_t *live_list(const json_t *state)
{
	json_t *list = json_array();
	const json_t *json;
	size_t i;

	json_array_foreach(json_object_get(state, "memories"), i, json)
	{
		if (json_is_true(json_object_get(json, "attached"))) {
			json_array_append(list, json_object_get(json, "vm"));
		}
	}
	return list;
}

const struct op_method live_methods[] = {
	{ .name = "attach.memory", .key = "session", .run = attach_memory },
	{ .name = "detach.memory", .key = "session", .run = detach_memory },
	{ .name = NULL },
};
