/* SPDX-License-Identifier: Apache-2.0 */
/* What dvm-hostd and the cloud notice, as events of sessions. */
#include <string.h>

#include "cleanup.h"
#include "cloud.h"
#include "debuggers.h"
#include "engine_internal.h"
#include "events.h"
#include "log.h"
#include "parse.h"
#include "prepare.h"

/* The disks of a fenced VM cannot be in two places: the D-VM has to let go. */
void engine_vm_changed(struct engine *e, const struct vm_row *vm)
{
	struct attachment_row *rows = NULL;
	struct session_row session;
	struct fault fault = { 0 };
	size_t n = 0;

	if (!vm->fence[0] || vm->state == VM_OFF || vm->state == VM_GONE ||
	    vm->state == VM_UNKNOWN ||
	    store_session_get(e->d->store, vm->fence, &session, &fault) < 0) {
		return;
	}
	if (store_attachment_list(e->d->store, session.id, &rows, &n, &fault) == 0) {
		for (size_t i = 0; i < n; i++) {
			if (rows[i].kind != ATTACHMENT_DISK || strcmp(rows[i].vm, vm->id) != 0 ||
			    rows[i].state != ATTACHMENT_ATTACHED) {
				continue;
			}
			log_warn("%s: %s was started behind our back, its disks are detached",
				 session.id, vm->id);
			rows[i].state = ATTACHMENT_DETACHING;
			fault_set(&rows[i].fault, FAULT_VM_RUNNING, "VM %s was started meanwhile",
				  vm->name);
			if (attachment_commit(e, &session, &rows[i], &fault) < 0 ||
			    engine_post(e, session.id, SESSION_EV_WISHED, NULL, NULL, &fault) < 0) {
				log_warn("%s: cannot be recorded: %s", session.id, fault.message);
			}
		}
	}
	attachment_rows_free(rows, n);
	session_row_fini(&session);
}

/* A session that may be in a state we have not heard of: look again, soon. */
static void post_or_reconcile(struct engine *e, const char *session, enum session_event event,
			      const struct fault *fault)
{
	struct fault refused = { 0 };

	if (engine_post(e, session, event, fault, NULL, &refused) < 0) {
		log_warn("%s %s cannot be recorded: %s, looking again", session,
			 session_event_name(event), refused.message);
		reconcile_soon(e);
	}
}

/* Events that only stand in the timeline. */
static void note(struct engine *e, const char *type, const char *session, json_t *data)
{
	struct session_row row;
	struct fault fault = { 0 };
	int r = store_session_get(e->d->store, session, &row, &fault);

	if (r < 0) {
		json_decref(data);
		return;
	}
	r = events_add(e->d->events, type, session, NULL, row.project, data, &fault);
	session_row_fini(&row);
	if (r < 0) {
		log_debug("%s of %s is not recorded: %s, ignoring", type, session, fault.message);
		return;
	}
	events_committed(e->d->events);
}

/* A D-VM that was started anew, by its user or to have a disk let go, has made itself another key.
 * Its own channel tells it, so whoever trusted the first may trust this one. */
void engine_host_key(struct engine *e, const char *session, const char *key)
{
	struct dvmd *d = e->d;
	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
	struct session_row row;
	struct fault fault = { 0 };
	int r;

	if (store_session_get(d->store, session, &row, &fault) < 0) {
		return;
	}
	if (row.host_key[0] && strcmp(row.host_key, key) != 0 &&
	    strlen(key) < sizeof(row.host_key)) {
		strcpy(row.host_key, key);
		r = store_tx_begin(&tx, d->store, &fault);
		if (r == 0) {
			r = store_session_update(d->store, &row, &fault);
		}
		if (r == 0) {
			r = events_add(d->events, "session.host-key", session, NULL, row.project,
				       json_pack("{s:s}", "host_key", key), &fault);
		}
		if (r == 0) {
			r = store_tx_commit(&tx, &fault);
		}
		if (r == 0) {
			events_committed(d->events);
			log_info("%s: its D-VM was started anew and has another host key", session);
		} else {
			log_warn("%s: its new host key cannot be recorded: %s, looking again",
				 session, fault.message);
			reconcile_soon(e);
		}
	}
	session_row_fini(&row);
}

/* The relay of a VM's console and display is another one: the session that has the VM links to it
 * anew. */
static void console_back(struct engine *e, const char *vm)
{
	struct attachment_row *rows = NULL;
	struct session_row session;
	char id[ID_MAX];
	struct fault fault = { 0 };
	size_t n = 0;

	if (store_session_of_vm(e->d->store, vm, id, &fault) < 0 ||
	    store_session_get(e->d->store, id, &session, &fault) < 0) {
		return;
	}
	if (store_attachment_list(e->d->store, id, &rows, &n, &fault) == 0) {
		for (size_t i = 0; i < n; i++) {
			if (attachment_has_relay(rows[i].kind) && strcmp(rows[i].vm, vm) == 0 &&
			    rows[i].state == ATTACHMENT_ATTACHED) {
				rows[i].state = ATTACHMENT_WANTED;
				if (attachment_commit(e, &session, &rows[i], &fault) == 0) {
					post_or_reconcile(e, id, SESSION_EV_WISHED, NULL);
				}
			}
		}
	}
	attachment_rows_free(rows, n);
	session_row_fini(&session);
}

static const char *text_of(const json_t *params, const char *member)
{
	return json_string_value(json_object_get(params, member));
}

/* A panicked guest is shown where it is looked for: in the session that has it, and among the
 * events of its project. */
static void vm_panicked(struct engine *e, const struct vm_row *vm, const char *text, const char *by)
{
	char session[ID_MAX];
	struct fault fault = { 0 };
	int r = store_session_of_vm(e->d->store, vm->id, session, &fault);

	if (r < 0 && r != -ENOENT) {
		return;
	}
	log_info("%s has panicked", vm->id);
	r = events_add(e->d->events, "vm.panicked", r == 0 ? session : NULL, vm->id, vm->project,
		       json_pack("{s:s,s:s}", "text", text, "by", by), &fault);
	if (r < 0) {
		log_warn("the panic of %s is not recorded: %s", vm->id, fault.message);
		return;
	}
	events_committed(e->d->events);
}

/* pvpanic, or whatever else the hypervisor takes for a crash of the guest */
static void domain_crashed(struct engine *e, const char *uuid)
{
	struct vm_row vm;
	struct fault fault = { 0 };

	if (store_vm_by_domain(e->d->store, uuid, &vm, &fault) == 0) {
		vm_panicked(e, &vm, "The hypervisor reports a crash of the guest", "hypervisor");
	}
}

/* An event without a state (a domain's definition went away, which it may outlive) says: look. */
static void domain_changed(struct engine *e, const char *uuid, enum vm_state state)
{
	struct cloud *cloud = e->d->cloud;

	if (state == VM_UNKNOWN) {
		cloud->ops->refresh(cloud, NULL, NULL);
	} else {
		cloud->ops->observed(cloud, uuid, state);
	}
}

void engine_notice(struct engine *e, const char *method, json_t *params)
{
	const char *session = text_of(params, "session"), *vm = text_of(params, "vm");
	struct fault fault;

	if (strcmp(method, "domain.changed") == 0) {
		const char *uuid = text_of(params, "uuid"), *state = text_of(params, "state");

		if (uuid && state) {
			domain_changed(e, uuid, vm_state_parse(state));
		}
		if (uuid && strcmp(text_of(params, "event") ?: "", "crashed") == 0) {
			domain_crashed(e, uuid);
		}
	} else if (strcmp(method, "vm.panicked") == 0 && vm) {
		const char *text = text_of(params, "text");
		struct vm_row row;

		if (text && text_valid(text, 160) &&
		    store_vm_get(e->d->store, vm, &row, &fault) == 0) {
			vm_panicked(e, &row, text, "console");
		}
	} else if (strcmp(method, "dvm.lost") == 0 && session) {
		fault_set(&fault, FAULT_DVM_LOST, "The D-VM is gone");
		post_or_reconcile(e, session, SESSION_EV_DVM_LOST, &fault);
	} else if (strcmp(method, "relay.lost") == 0 && session) {
		post_or_reconcile(e, session, SESSION_EV_RELAY_LOST, NULL);
	} else if (strcmp(method, "relay.back") == 0 && session) {
		post_or_reconcile(e, session, SESSION_EV_RESUME, NULL);
	} else if (strcmp(method, "relay.back") == 0 && vm) {
		console_back(e, vm);
	} else if (strcmp(method, "dvm.key") == 0 && session && text_of(params, "host_key")) {
		engine_host_key(e, session, text_of(params, "host_key"));
	} else if (strcmp(method, "session.progress") == 0 && session) {
		const char *step = text_of(params, "step"), *detail = text_of(params, "detail");

		note(e, "session.progress", session,
		     json_pack("{s:s,s:s}", "step", step ?: "", "detail", detail ?: ""));
	} else if (strcmp(method, "recording.stopped") == 0 && session) {
		const char *name = text_of(params, "name"), *code = text_of(params, "code");

		note(e, "recording.stopped", session,
		     json_pack("{s:s,s:s}", "name", name ?: "", "code", code ?: ""));
	} else if (strcmp(method, "vm.debugger") == 0 && vm) {
		debugger_set(e->d, vm, debugger_parse(text_of(params, "state") ?: "off"),
			     json_is_true(json_object_get(params, "expired")));
	} else if (strcmp(method, "history.stopped") == 0 && vm) {
		const char *code = text_of(params, "code");

		log_warn("the console of %s is not recorded: %s", vm, code ?: "");
		metrics_count(e->d->metrics, METRIC_HISTORY_STOPPED, code);
	} else if (strcmp(method, "port.dropped") == 0 && session) {
		json_int_t bytes = json_integer_value(json_object_get(params, "bytes"));

		note(e, "port.dropped", session,
		     json_pack("{s:s,s:I}", "port", text_of(params, "name") ?: "", "bytes", bytes));
	} else if (strcmp(method, "pool.changed") == 0) {
		metrics_set(e->d->metrics, METRIC_POOL_MEMBERS, "ready",
			    (double)json_integer_value(json_object_get(params, "ready")));
		metrics_set(e->d->metrics, METRIC_POOL_MEMBERS, "wanted",
			    (double)json_integer_value(json_object_get(params, "want")));
	} else if (strcmp(method, "hypervisor") == 0) {
		if (json_is_true(json_object_get(params, "up"))) {
			log_info("the hypervisor is there");
			reconcile(e);
			prepare_default(e->d);
			prepare_pool(e->d);
		} else {
			log_warn("the hypervisor is away");
		}
	} else {
		log_debug("notice %s, ignoring", method);
	}
}

void engine_host_up(struct engine *e)
{
	reconcile(e);
}

void engine_host_down(struct engine *e)
{
	reconcile_stop(e);
}
