/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM's gdb stub: switched on for its relay, and off again whoever dies.
 *
 * Theory of operation: while a stub is on, RUN/relay/VM/gdb says so, and how the VM is to be left.
 * It is written before and removed after. What finds it without a relay that has the stub's
 * connection (the relay died, with or without us) has the hypervisor remove what breakpoints there
 * are and lets the VM run, if it is to. Operations on one VM's stub run one after the other.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "file.h"
#include "log.h"
#include "methods.h"
#include "relay_internal.h"
#include "server.h"

static char *note_path(const struct hostd *h, const char *vm)
{
	return relay_path(h, vm, "gdb");
}

/* False: there is no stub. */
static bool note_load(const struct hostd *h, const char *vm, bool *ret_resume)
{
	_cleanup_free_ char *path = note_path(h, vm);
	_cleanup_free_ char *text = NULL;
	size_t len;

	if (!path || file_read(path, 16, &text, &len) < 0) {
		return false;
	}
	*ret_resume = strcmp(text, "resume\n") == 0;
	return true;
}

static int note_save(const struct hostd *h, const char *vm, bool resume)
{
	_cleanup_free_ char *path = note_path(h, vm);
	const char *text = resume ? "resume\n" : "stay\n";

	return path ? file_write_atomic(path, text, strlen(text), 0600) : -ENOMEM;
}

static void note_remove(const struct hostd *h, const char *vm)
{
	_cleanup_free_ char *path = note_path(h, vm);

	if (path && unlink(path) < 0 && errno != ENOENT) {
		log_warn("%s: note of its debugger: %s, ignoring", vm, strerror(errno));
	}
}

static void tell(struct hostd *h, const char *vm, const char *state, bool expired)
{
	server_notify(h->server, "vm.debugger",
		      json_pack("{sssssb}", "vm", vm, "state", state, "expired", expired));
}

/* What events of the hypervisor were kept to ourselves while the stub was on. */
static void tell_domain(struct hostd *h, const char *domain, enum domain_state state)
{
	if (state != DOMAIN_UNKNOWN) {
		server_notify(h->server, "domain.changed",
			      json_pack("{ssssss}", "uuid", domain, "state",
					domain_state_name(state), "event",
					domain_event_name(state == DOMAIN_PAUSED
								  ? DOMAIN_EVENT_PAUSED
								  : DOMAIN_EVENT_RESUMED)));
	}
}

static void debugged_set(struct hostd *h, const char *vm, bool debugged)
{
	struct relay *r = relay_find(h->relays, vm);

	if (r) {
		r->debugged = debugged;
	}
}

/* --- on -----------------------------------------------------------------------------------------
 */

static int open_run(struct op *op)
{
	struct hostd *h = op->hostd;
	const char *vm = op_string(op, "vm", vm_id_valid);
	const char *domain = op_string(op, "domain", domain_ref_valid);
	_cleanup_(domain_info_fini) struct domain_info info = { 0 };
	bool running;
	int r;

	if (!vm || !domain) {
		return -EREMOTEIO;
	}
	r = h->hv->ops->get(h->hv, domain, &info, &op->fault);
	if (r < 0) {
		return r;
	}
	running = info.state == DOMAIN_RUNNING;
	if (note_save(h, vm, running) < 0) {
		return fault_set(&op->fault, FAULT_DISK_FULL, "The host's disk is full");
	}
	r = op_failpoint(&op->fault, "hostd.gdb.noted");
	if (r == 0) {
		r = h->hv->ops->gdb_open(h->hv, domain, op_true(op, "control"), &op->fd,
					 &op->fault);
	}
	if (r < 0) {
		note_remove(h, vm);
		return r;
	}
	op->result = json_pack("{sbsI}", "was_running", running, "limit_ms",
			       (json_int_t)(h->config.stopped_limit / USEC_PER_MSEC));
	return op->result ? 0 : op_no_memory(op);
}

static void open_finish(struct op *op)
{
	if (op->status < 0) {
		debugged_set(op->hostd, json_string_value(json_object_get(op->params, "vm")),
			     false);
	}
}

/* Beside others of the VM: a guest that hangs is just what it is for. */
static const struct op_method open_method = {
	.name = "gdb open", .key = "domain", .kind = "gdb", .run = open_run, .finish = open_finish
};

void gdb_open_start(struct hostd *h, const char *vm, const char *domain, bool control,
		    struct rpc_request *request)
{
	debugged_set(h, vm, true);
	op_start(h, &open_method,
		 json_pack("{sssssb}", "vm", vm, "domain", domain, "control", control), request);
}

/* --- off ----------------------------------------------------------------------------------------
 */

static int off(struct op *op, const char *vm, const char *domain, bool left, bool resume)
{
	struct hostd *h = op->hostd;
	int r = h->hv->ops->gdb_close(h->hv, domain, left, resume, &op->fault);

	/* What cannot be done while the hypervisor is away is done when it is back. */
	if (r == 0 || op->fault.code == FAULT_VM_GONE) {
		note_remove(h, vm);
		return 0;
	}
	return r;
}

static int state_after(struct op *op, const char *domain)
{
	_cleanup_(domain_info_fini) struct domain_info info = { 0 };
	struct fault none;

	if (op->hostd->hv->ops->get(op->hostd->hv, domain, &info, &none) < 0) {
		return 0;
	}
	op->result = json_pack("{ss}", "state", domain_state_name(info.state));
	return op->result ? 0 : op_no_memory(op);
}

static int close_run(struct op *op)
{
	const char *vm = op_string(op, "vm", vm_id_valid);
	const char *domain = op_string(op, "domain", domain_ref_valid);
	int r;

	if (!vm || !domain) {
		return -EREMOTEIO;
	}
	r = off(op, vm, domain, false, false);
	return r < 0 ? r : state_after(op, domain);
}

/* The relay's connection to the stub is gone without a word of it. */
static int look_run(struct op *op)
{
	struct hostd *h = op->hostd;
	const char *vm = op_string(op, "vm", vm_id_valid);
	const char *domain = op_string(op, "domain", domain_ref_valid);
	json_auto_t *status = NULL;
	struct fault none;
	bool resume;
	int r;

	if (!vm || !domain) {
		return -EREMOTEIO;
	}
	if (!note_load(h, vm, &resume)) {
		return 0;
	}
	/* One that does not answer yet is looked at again when it does, or is known to be dead. */
	if (!op_true(op, "lost") &&
	    (relay_call(h, vm, "status", NULL, -1, -1, &status, &none) < 0 ||
	     json_is_true(json_object_get(status, "gdb")))) {
		return 0; /* it outlived us, and goes on */
	}
	log_warn("%s: its debugger is gone, %s", vm, resume ? "it runs on" : "it stays stopped");
	r = off(op, vm, domain, true, resume);
	return r < 0 ? r : state_after(op, domain);
}

static void off_finish(struct op *op)
{
	struct hostd *h = op->hostd;
	const char *vm = json_string_value(json_object_get(op->params, "vm"));
	const char *domain = json_string_value(json_object_get(op->params, "domain"));
	const char *state = json_string_value(json_object_get(op->result, "state"));

	if (op->status < 0 || !state) {
		return; /* or there was nothing to be done */
	}
	debugged_set(h, vm, false);
	tell_domain(h, domain, domain_state_parse(state));
	tell(h, vm, "off", false);
}

static const struct op_method close_method = {
	.name = "gdb close", .key = "domain", .kind = "gdb", .run = close_run, .finish = off_finish
};

static const struct op_method look_method = {
	.name = "gdb look", .key = "domain", .kind = "gdb", .run = look_run, .finish = off_finish
};

void gdb_close_start(struct hostd *h, const char *vm, const char *domain,
		     struct rpc_request *request)
{
	op_start(h, &close_method, json_pack("{ssss}", "vm", vm, "domain", domain), request);
}

void gdb_look_start(struct hostd *h, const char *vm, const char *domain, bool lost)
{
	op_start(h, &look_method, json_pack("{sssssb}", "vm", vm, "domain", domain, "lost", lost),
		 NULL);
}

/* --- between
 * ------------------------------------------------------------------------------------- */

void gdb_state(struct hostd *h, const char *vm, const char *domain, const json_t *params)
{
	bool stopped = json_is_true(json_object_get(params, "stopped"));

	if (note_save(h, vm, json_is_true(json_object_get(params, "resume"))) < 0) {
		log_warn("%s: note of its debugger not written, ignoring", vm);
	}
	debugged_set(h, vm, true);
	tell_domain(h, domain, stopped ? DOMAIN_PAUSED : DOMAIN_RUNNING);
	tell(h, vm, stopped ? "stopped" : "running",
	     json_is_true(json_object_get(params, "expired")));
}

bool gdb_let_go(struct hostd *h, const char *vm)
{
	struct fault none;
	bool resume;

	return note_load(h, vm, &resume) &&
	       relay_call(h, vm, "gdb.let_go", NULL, -1, -1, NULL, &none) == 0;
}

const char *gdb_state_name(struct hostd *h, const char *vm)
{
	json_auto_t *status = NULL;
	struct fault none;
	bool resume;

	if (!note_load(h, vm, &resume) ||
	    relay_call(h, vm, "status", NULL, -1, -1, &status, &none) < 0) {
		return "off";
	}
	return !json_is_true(json_object_get(status, "gdb"))	  ? "off"
	       : json_is_true(json_object_get(status, "stopped")) ? "stopped"
								  : "running";
}

void gdb_drop(struct hostd *h, const char *vm, const char *domain)
{
	struct fault fault;
	bool resume;

	if (note_load(h, vm, &resume) &&
	    h->hv->ops->gdb_close(h->hv, domain, true, resume, &fault) < 0) {
		log_warn("%s: its debugger could not be ended: %s, ignoring", vm, fault.message);
	}
}
