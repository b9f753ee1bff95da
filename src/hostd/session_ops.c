/* SPDX-License-Identifier: Apache-2.0 */
/* dvm.*, session.* and attach.console: what a session is to be is written down, then made so. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "boots.h"
#include "cleanup.h"
#include "clock.h"
#include "dvm.h"
#include "dvm_plan.h"
#include "dvm_uid.h"
#include "file.h"
#include "image.h"
#include "methods.h"
#include "parse.h"
#include "pool_ops.h"
#include "server.h"
#include "session_file.h"
#include "session_link.h"

#define BOOT_TIMEOUT_MAX_MS 600000
/* The D-VM finds and mounts a disk in less than a second, where it is not busy. */
#define STACK_MAX (15 * USEC_PER_SEC)
#define STACK_POLL (50 * USEC_PER_MSEC)

/* --- dvm.ensure
 * ------------------------------------------------------------------------------------------ */

/* The session's file as it is, or as the parameters want it. */
static int state_begin(struct op *op, const char *session, json_t **ret)
{
	json_t *agent = json_object_get(op->params, "agent");
	json_auto_t *state = NULL, *dvm = NULL;
	int r;

	if (!json_is_object(agent)) {
		return fault_set(&op->fault, FAULT_BAD_VALUE, "\"agent\" is missing or malformed");
	}
	r = session_load(op->hostd, session, &state, &op->fault);
	if (r < 0 && op->fault.code != FAULT_NOT_FOUND) {
		return r;
	}
	if (state) {
		json_object_set(state, "agent", agent);
		r = session_save(op->hostd, session, state, &op->fault);
	} else {
		r = dvm_params(op, &dvm);
		if (r < 0) {
			return r;
		}
		dvm_uid_lock(); /* until the choice stands in the file */
		state = json_pack("{sOsIsbs[]s[]s[]}", "agent", agent, "uid",
				  (json_int_t)dvm_uid_choose(op->hostd, session), "created", 0,
				  "consoles", "displays", "disks");
		r = state && json_object_update(state, dvm) == 0
			    ? session_save(op->hostd, session, state, &op->fault)
			    : op_no_memory(op);
		dvm_uid_unlock();
	}
	if (r == 0) {
		*ret = json_incref(state);
	}
	return r;
}

/* For the session's timeline: the steps that take time. */
static void progress(struct hostd *h, const char *session, const char *step, const char *detail)
{
	server_notify_later(
		h, "session.progress",
		json_pack("{ssssss}", "session", session, "step", step, "detail", detail));
}

static int dvm_ensure(struct op *op)
{
	struct hostd *h = op->hostd;
	const char *session = op_string(op, "session", session_id_valid);
	json_auto_t *state = NULL;
	bool created = false;
	uint64_t timeout_ms;
	int r;

	h->starting++; /* until dvm_ensure_finish(), or boots.h */
	if (!session || op_number(op, "boot_timeout_ms", 1, BOOT_TIMEOUT_MAX_MS, &timeout_ms) < 0) {
		return -EREMOTEIO;
	}
	r = op_failpoint(&op->fault, "hostd.ensure.begin");
	if (r == 0) {
		r = state_begin(op, session, &state);
	}
	if (r == 0) {
		r = op_failpoint(&op->fault, "hostd.ensure.recorded");
	}
	if (r == 0) {
		r = relay_need(h, session, NULL, &op->fault);
	}
	if (r == 0) {
		r = op_failpoint(&op->fault, "hostd.ensure.relay");
	}
	if (r == 0) {
		progress(h, session, "dvm", "The debug VM is being started");
		created = json_is_true(json_object_get(state, "created"));
		r = dvm_need(h, session, state, &op->fault);
	}
	if (r == 0 && !created && pool_is_on(h->pool) && !json_object_get(state, "member")) {
		progress(h, session, "pool", "No debug VM was waiting");
	}
	if (r == 0) {
		progress(h, session, "boot",
			 json_object_get(state, "member") ? "A debug VM that was waiting goes on"
			 : json_object_get(state, "memory")
				 ? "The debug VM goes on from its memory image"
				 : "The debug VM boots");
		r = op_failpoint(&op->fault, "hostd.ensure.dvm");
	}
	if (r == 0) {
		r = session_link(h, session, state, &op->fault);
	}
	if (r == 0) {
		r = op_failpoint(&op->fault, "hostd.ensure.linked");
	}
	if (r < 0) {
		return r;
	}
	op->result = json_pack("{ssssss}", "session", session, "image",
			       session_string(state, "image"), "start",
			       json_object_get(state, "member")	  ? "pool"
			       : json_object_get(state, "memory") ? "memory"
								  : "boot");
	return op->result ? 0 : op_no_memory(op);
}

static void dvm_ensure_finish(struct op *op)
{
	uint64_t timeout_ms = 0;

	pool_tend_start(op->hostd);
	if (op->status < 0 ||
	    op_number(op, "boot_timeout_ms", 1, BOOT_TIMEOUT_MAX_MS, &timeout_ms) < 0) {
		op->hostd->starting--;
		return; /* op_reply() tells the fault */
	}
	boots_wait_take(op->hostd, session_string(op->result, "session"),
			session_string(op->result, "image"), session_string(op->result, "start"),
			timeout_ms * USEC_PER_MSEC, TAKE_PTR(op->request));
}

/* --- dvm.config, attach.console, attach.vnc
 * -------------------------------------------------------------------------- */

static int dvm_config(struct op *op)
{
	const char *session = op_string(op, "session", session_id_valid);
	json_t *agent = json_object_get(op->params, "agent");
	json_auto_t *state = NULL;
	int r;

	if (!session) {
		return -EREMOTEIO;
	}
	if (!json_is_object(agent)) {
		return fault_set(&op->fault, FAULT_BAD_VALUE, "\"agent\" is missing or malformed");
	}
	r = session_load(op->hostd, session, &state, &op->fault);
	if (r < 0) {
		return r;
	}
	json_object_set(state, "agent", agent);
	r = session_save(op->hostd, session, state, &op->fault);
	if (r < 0) {
		return r;
	}
	return relay_call(op->hostd, session, "agent.config", session_agent_config(session, state),
			  -1, -1, NULL, &op->fault);
}

/* When the D-VM's agent says that the stack is there. */
static int wait_for_stack(struct hostd *h, const char *session, const char *stack,
			  struct fault *fault)
{
	usec_t until = clock_monotonic() + STACK_MAX;

	do {
		json_auto_t *status = NULL;
		const json_t *name;
		size_t i;

		if (relay_call(h, session, "status", NULL, -1, -1, &status, fault) < 0) {
			return -EREMOTEIO;
		}
		json_array_foreach(json_object_get(status, "stacks"), i, name)
		{
			if (strcmp(json_string_value(name), stack) == 0) {
				return 0;
			}
		}
		usleep(STACK_POLL);
	} while (clock_monotonic() < until);
	return fault_set(fault, FAULT_DVM_TIMEOUT, "The debug VM did not take the stack");
}

/* In session.json first: a D-VM that is asked for it has it, or gets it when asked again. */
static int dvm_stack(struct op *op)
{
	struct hostd *h = op->hostd;
	const char *session = op_string(op, "session", session_id_valid);
	const char *stack = op_string(op, "stack", name_valid);
	json_t *agent = json_object_get(op->params, "agent");
	_cleanup_(dvm_plan_fini) struct dvm_plan plan = { 0 };
	json_auto_t *state = NULL, *only = NULL;
	int r;

	if (!session || !stack) {
		return -EREMOTEIO;
	}
	if (!json_is_object(agent)) {
		return fault_set(&op->fault, FAULT_BAD_VALUE, "\"agent\" is missing or malformed");
	}
	r = session_load(h, session, &state, &op->fault);
	if (r < 0) {
		return r;
	}
	only = json_pack("{sOs[s]sisi}", "image", json_object_get(state, "image"), "stacks", stack,
			 "memory_mib", 0, "vcpus", 1);
	r = only ? dvm_plan(h, only, &plan, &op->fault) : op_no_memory(op);
	if (r == 0 && !plan.image.stacks_plugged) {
		r = fault_set(&op->fault, FAULT_NOT_SUPPORTED,
			      "The session's D-VM image takes no stacks while it runs");
	}
	if (r < 0) {
		return r;
	}
	json_object_set(state, "agent", agent);
	r = session_save(h, session, state, &op->fault);
	if (r == 0) {
		r = op_failpoint(&op->fault, "hostd.stack.recorded");
	}
	if (r == 0 && plan.spec.n_layers > 1) {
		r = dvm_layer_attach(h, session, &plan.spec.layers[1], &op->fault);
	}
	if (r == 0) {
		r = op_failpoint(&op->fault, "hostd.stack.attached");
	}
	if (r == 0) {
		r = relay_call(h, session, "agent.config", session_agent_config(session, state), -1,
			       -1, NULL, &op->fault);
	}
	return r < 0 ? r : wait_for_stack(h, session, stack, &op->fault);
}

static bool console_mode_valid(const char *s)
{
	return strcmp(s, "r") == 0 || strcmp(s, "rw") == 0;
}

/* A service of the VM's that the session's D-VM has. */
struct service_kind {
	const char *list; /* of session.json */
	bool recorded;	  /* its entries say whether */
	int (*link)(struct hostd *h, const char *session, const json_t *entry, const json_t *status,
		    struct fault *fault);
};

static int attach_service(struct op *op, const struct service_kind *kind)
{
	struct hostd *h = op->hostd;
	const char *session = op_string(op, "session", session_id_valid);
	const char *vm = op_string(op, "vm", vm_id_valid);
	const char *name = op_string(op, "name", name_valid);
	const char *mode = op_string(op, "mode", console_mode_valid);
	json_auto_t *state = NULL, *status = NULL;
	json_t *entry, *record;
	int r;

	if (!session || !vm || !name || !mode) {
		return -EREMOTEIO;
	}
	r = session_load(h, session, &state, &op->fault);
	if (r < 0) {
		return r;
	}
	record = kind->recorded ? json_boolean(op_true(op, "record")) : NULL;
	entry = json_pack("{ssssssso*}", "vm", vm, "name", name, "mode", mode, "record", record);
	if (!json_object_get(state, kind->list)) {
		json_object_set_new(state, kind->list, json_array());
	}
	session_entry_remove(state, kind->list, vm);
	if (json_array_append_new(json_object_get(state, kind->list), entry) < 0) {
		return op_no_memory(op);
	}
	r = session_save(h, session, state, &op->fault);
	if (r == 0) {
		r = op_failpoint(&op->fault, "hostd.attach.service.recorded");
	}
	if (r == 0) {
		r = relay_need(h, session, NULL, &op->fault);
	}
	if (r == 0) {
		r = relay_call(h, session, "status", NULL, -1, -1, &status, &op->fault);
	}
	return r < 0 ? r : kind->link(h, session, entry, status, &op->fault);
}

static int attach_console(struct op *op)
{
	static const struct service_kind console = { .list = "consoles",
						     .recorded = true,
						     .link = session_console_link };

	return attach_service(op, &console);
}

static int attach_vnc(struct op *op)
{
	static const struct service_kind display = { .list = "displays",
						     .link = session_display_link };

	return attach_service(op, &display);
}

static int attach_gdb(struct op *op)
{
	static const struct service_kind gdb = { .list = "gdbs", .link = session_gdb_link };

	return attach_service(op, &gdb);
}

/* --- session.release, session.list
 * ----------------------------------------------------------------------- */

static int session_release(struct op *op)
{
	struct hostd *h = op->hostd;
	const char *session = op_string(op, "session", session_id_valid);
	_cleanup_free_ char *folder = NULL;
	json_auto_t *state = NULL;
	struct fault none;
	int r;

	if (!session) {
		return -EREMOTEIO;
	}
	folder = session_path(h, session, "");
	if (!folder) {
		return op_no_memory(op);
	}
	r = op_failpoint(&op->fault, "hostd.release.begin");
	if (r == 0) {
		r = h->hv->ops->dvm_destroy(h->hv, session, &op->fault);
	}
	if (r == 0) {
		r = op_failpoint(&op->fault, "hostd.release.dvm");
	}
	if (r == 0 && session_load(h, session, &state, &none) == 0) {
		disks_return_all(h, state);
	}
	if (r == 0) {
		r = op_failpoint(&op->fault, "hostd.release.disks");
	}
	if (r == 0 && state) {
		r = ports_drop_all(h, session, state, &op->fault);
	}
	if (r == 0 && state) {
		r = live_drop_all(h, session, state, &op->fault);
	}
	if (r == 0 && state && json_object_get(state, "member")) {
		r = pool_member_remove(h, session_string(state, "member"), &op->fault);
	}
	if (r == 0) {
		r = relay_stop(h, session, &op->fault);
	}
	if (r == 0) {
		r = op_failpoint(&op->fault, "hostd.release.relay");
	}
	if (r == 0 && dir_remove(folder) < 0) {
		r = fault_set(&op->fault, FAULT_INTERNAL,
			      "The session's folder could not be removed");
	}
	return r;
}

static void session_release_finish(struct op *op)
{
	const char *session = json_string_value(json_object_get(op->params, "session"));
	struct fault fault;

	if (session) {
		fault_set(&fault, FAULT_CANCELLED, "The session was released");
		boots_fail(op->hostd, session, &fault);
	}
}

struct list_job {
	struct hostd *hostd;
	const struct domain_list *domains;
	json_t *sessions; /* by id */
};

static const struct domain_brief *dvm_of(const struct domain_list *list, const char *session)
{
	for (size_t i = 0; i < list->n_domains; i++) {
		if (strcmp(list->domains[i].session, session) == 0) {
			return &list->domains[i];
		}
	}
	return NULL;
}

static json_t *list_disks(const json_t *state)
{
	json_t *result = json_array();
	const json_t *entry, *disk;
	size_t i, j;

	json_array_foreach(json_object_get(state, "disks"), i, entry)
	{
		json_t *devices = json_array();

		json_array_foreach(json_object_get(entry, "disks"), j, disk)
		{
			json_array_append(devices, json_object_get(disk, "serial"));
		}
		json_array_append_new(
			result, json_pack("{sssssO?so}", "vm", session_string(entry, "vm"), "mode",
					  session_string(entry, "mode"), "index",
					  json_object_get(entry, "index"), "devices", devices));
	}
	return result;
}

static json_t *list_vms(const json_t *state, const char *list)
{
	json_t *result = json_array();
	const json_t *entry;
	size_t i;

	json_array_foreach(json_object_get(state, list), i, entry)
	{
		json_array_append(result, json_object_get(entry, "vm"));
	}
	return result;
}

static int list_one(const char *session, void *user)
{
	struct list_job *job = user;
	const struct domain_brief *dvm = dvm_of(job->domains, session);
	json_auto_t *state = NULL, *status = NULL;
	json_t *host_key;
	struct fault fault;
	bool relay, agent;

	if (json_object_get(job->sessions, session)) {
		return 0;
	}
	if (session_load(job->hostd, session, &state, &fault) < 0) {
		state = NULL;
	}
	relay = relay_call(job->hostd, session, "status", NULL, -1, -1, &status, &fault) == 0;
	agent = strcmp(session_string(status, "agent"), "up") == 0;
	host_key = json_object_get(status, "host_key");
	return json_object_set_new(
		job->sessions, session,
		json_pack("{sssssbsbsO?sosososososo}", "session", session, "dvm",
			  dvm ? domain_state_name(dvm->state) : "none", "relay", relay, "agent",
			  agent, "host_key", host_key, "disks", list_disks(state), "consoles",
			  list_vms(state, "consoles"), "displays", list_vms(state, "displays"),
			  "gdbs", list_vms(state, "gdbs"), "ports", ports_list(state), "memories",
			  live_list(state)));
}

static int session_list(struct op *op)
{
	_cleanup_(domain_list_fini) struct domain_list domains = { 0 };
	json_auto_t *by_id = json_object();
	struct list_job job = { .hostd = op->hostd, .domains = &domains, .sessions = by_id };
	json_t *list, *entry;
	const char *key;
	int r;

	r = op->hostd->hv->ops->list(op->hostd->hv, &domains, &op->fault);
	if (r < 0) {
		return r;
	}
	for (size_t i = 0; i < domains.n_domains && r == 0; i++) {
		if (domain_is_our_dvm(op->hostd, &domains.domains[i]) &&
		    session_id_valid(domains.domains[i].session)) {
			r = list_one(domains.domains[i].session, &job);
		}
	}
	if (r == 0) {
		r = session_each(op->hostd, list_one, &job);
	}
	if (r == 0) {
		r = relay_each(op->hostd, session_id_valid, list_one, &job);
	}
	if (r < 0) {
		return op_no_memory(op);
	}
	list = json_array();
	json_object_foreach(by_id, key, entry)
	{
		json_array_append(list, entry);
	}
	op->result = json_pack("{so}", "sessions", list);
	return op->result ? 0 : op_no_memory(op);
}

const struct op_method session_methods[] = {
	{ .name = "dvm.ensure", .key = "session", .run = dvm_ensure, .finish = dvm_ensure_finish },
	{ .name = "dvm.config", .key = "session", .run = dvm_config },
	{ .name = "dvm.stack", .key = "session", .run = dvm_stack },
	{ .name = "attach.console", .key = "session", .run = attach_console },
	{ .name = "attach.vnc", .key = "session", .run = attach_vnc },
	{ .name = "attach.gdb", .key = "session", .run = attach_gdb },
	{ .name = "session.release",
	  .key = "session",
	  .run = session_release,
	  .finish = session_release_finish },
	{ .name = "session.list", .run = session_list },
	{ .name = NULL },
};
