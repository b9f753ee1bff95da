/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compares the store with what the host has, and posts what follows.
 *
 * Theory of operation: three questions one after the other: sessions, domains, consoles. It runs
 * whenever the host or its hypervisor comes (back), which includes our own start. It changes
 * nothing itself but what nobody owns: D-VMs, fences and console relays without a session or VM. A
 * fault on the way ends it; it begins anew when the host comes back, or after RECONCILE_AGAIN.
 */
#include <errno.h>
#include <string.h>

#include "cloud.h"
#include "debuggers.h"
#include "engine_internal.h"
#include "log.h"

#define ASK_TIMEOUT (20 * USEC_PER_SEC)
#define RELEASE_TIMEOUT (60 * USEC_PER_SEC)
#define RECONCILE_AGAIN (5 * USEC_PER_SEC)

static int on_timer(sd_event_source *source, uint64_t usec, void *user)
{
	struct engine *e = user;

	if (host_link_is_up(e->d->host)) {
		reconcile(e);
	}
	return 0;
}

int reconcile_init(struct engine *e)
{
	int r = sd_event_add_time(e->d->event, &e->reconcile_timer, CLOCK_MONOTONIC, 0, 0, on_timer,
				  e);

	return r < 0 ? r : sd_event_source_set_enabled(e->reconcile_timer, SD_EVENT_OFF);
}

void reconcile_soon(struct engine *e)
{
	int r = sd_event_source_set_time_relative(e->reconcile_timer, RECONCILE_AGAIN);

	if (r == 0) {
		r = sd_event_source_set_enabled(e->reconcile_timer, SD_EVENT_ONESHOT);
	}
	if (r < 0) {
		log_err("reconcile: no timer: %s", strerror(-r));
	}
}

void reconcile_stop(struct engine *e)
{
	e->reconcile_number++;
}

struct pass {
	struct engine *e;
	unsigned number;
};

/* True where the answer is to be used. Frees the pass otherwise. */
static bool pass_goes_on(struct pass *p, const struct fault *fault)
{
	struct engine *e = p->e;

	if (p->number == e->reconcile_number && !fault) {
		return true;
	}
	if (fault && p->number == e->reconcile_number && fault->code != FAULT_HOST_AWAY &&
	    fault->code != FAULT_CANCELLED) {
		log_warn("reconcile: %s, beginning anew", fault_code_name(fault->code));
		reconcile_soon(e);
	}
	free(p);
	return false;
}

static const char *text_of(const json_t *object, const char *member)
{
	return json_string_value(json_object_get(object, member));
}

static const json_t *find(const json_t *list, const char *member, const char *value)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		const char *text = text_of(item, member);

		if (text && strcmp(text, value) == 0) {
			return item;
		}
	}
	return NULL;
}

static bool has_text(const json_t *list, const char *value)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		const char *text = json_string_value(item);

		if (text && strcmp(text, value) == 0) {
			return true;
		}
	}
	return false;
}

static void post(struct engine *e, const char *session, enum session_event event,
		 const struct fault *fault)
{
	struct fault refused = { 0 };

	if (engine_post(e, session, event, fault, NULL, &refused) < 0) {
		log_warn("reconcile: %s %s cannot be recorded: %s", session,
			 session_event_name(event), refused.message);
	}
}

/* ---- consoles */

static void console_answer(const json_t *result, const struct fault *fault, void *user)
{
	if (fault) {
		log_debug("reconcile: a console: %s, ignoring", fault_code_name(fault->code));
	}
}

static void ensure_consoles(struct engine *e, const json_t *consoles)
{
	char after[ID_MAX] = "";
	size_t n;

	do {
		_cleanup_free_ struct vm_row *vms = NULL;

		n = 0;
		if (store_vm_list(e->d->store, NULL, STORE_PAGE_MAX, after, &vms, &n, NULL) < 0) {
			return;
		}
		for (size_t i = 0; i < n; i++) {
			const json_t *console = find(consoles, "vm", vms[i].id);

			strcpy(after, vms[i].id);
			if (vms[i].state != VM_GONE &&
			    (!json_is_true(json_object_get(console, "up")) ||
			     json_is_false(json_object_get(console, "keep")) !=
				     vms[i].no_history)) {
				host_link_call(e->d->host, "console.ensure",
					       json_pack("{s:s,s:s,s:b}", "vm", vms[i].id, "domain",
							 vms[i].domain, "keep", !vms[i].no_history),
					       ASK_TIMEOUT, console_answer, NULL);
			}
		}
	} while (n == STORE_PAGE_MAX);
}

static void consoles_listed(const json_t *result, const struct fault *fault, void *user)
{
	struct pass *p = user;
	const json_t *consoles = json_object_get(result, "consoles"), *console;
	struct engine *e = p->e;
	struct vm_row vm;
	size_t i;

	if (!pass_goes_on(p, fault)) {
		return;
	}
	json_array_foreach(consoles, i, console)
	{
		const char *id = text_of(console, "vm");

		if (id) {
			debugger_set(e->d, id,
				     debugger_parse(text_of(console, "debugger") ?: "off"), false);
		}
		if (id && store_vm_get(e->d->store, id, &vm, NULL) == -ENOENT) {
			log_info("reconcile: the console of %s belongs to nobody, dropping it", id);
			host_link_call(e->d->host, "console.drop", json_pack("{s:s}", "vm", id),
				       ASK_TIMEOUT, console_answer, NULL);
		}
	}
	ensure_consoles(e, consoles);
	log_info("reconcile: done");
	free(p);
}

/* ---- domains and fences */

static bool fence_needed(struct engine *e, const struct vm_row *vm)
{
	struct attachment_row *rows = NULL;
	bool needed = false;
	size_t n = 0;

	if (!map_get(e->runs, vm->fence)) {
		return false;
	}
	if (store_attachment_list(e->d->store, vm->fence, &rows, &n, NULL) < 0) {
		return true;
	}
	for (size_t i = 0; i < n; i++) {
		needed = needed ||
			 (rows[i].kind == ATTACHMENT_DISK && rows[i].state != ATTACHMENT_GONE &&
			  strcmp(rows[i].vm, vm->id) == 0);
	}
	attachment_rows_free(rows, n);
	return needed;
}

static void lift_fences(struct engine *e)
{
	struct cloud *cloud = e->d->cloud;
	char after[ID_MAX] = "";
	size_t n;

	do {
		_cleanup_free_ struct vm_row *vms = NULL;

		n = 0;
		if (store_vm_list_fenced(e->d->store, STORE_PAGE_MAX, after, &vms, &n, NULL) < 0) {
			return;
		}
		for (size_t i = 0; i < n; i++) {
			struct fault fault = { 0 };

			strcpy(after, vms[i].id);
			if (fence_needed(e, &vms[i])) {
				continue;
			}
			log_info("reconcile: nothing holds %s off any more", vms[i].id);
			if (cloud->ops->unfence(cloud, vms[i].id, vms[i].fence, &fault) < 0) {
				log_warn("reconcile: %s stays fenced: %s", vms[i].id,
					 fault.message);
			}
		}
	} while (n == STORE_PAGE_MAX);
}

static void domains_listed(const json_t *result, const struct fault *fault, void *user)
{
	struct pass *p = user;

	if (pass_goes_on(p, fault)) {
		lift_fences(p->e);
		host_link_call(p->e->d->host, "console.list", NULL, ASK_TIMEOUT, consoles_listed,
			       p);
	}
}

/* ---- sessions */

static void orphan_answer(const json_t *result, const struct fault *fault, void *user)
{
	struct engine *e = user;

	if (fault && fault->code != FAULT_HOST_AWAY && fault->code != FAULT_CANCELLED) {
		log_warn("reconcile: an orphan stays: %s, looking again",
			 fault_code_name(fault->code));
		reconcile_soon(e);
	}
}

static void release_orphans(struct engine *e, const json_t *sessions)
{
	const json_t *session;
	size_t i;

	json_array_foreach(sessions, i, session)
	{
		const char *id = text_of(session, "session");

		if (id && !map_get(e->runs, id)) {
			log_info("reconcile: %.39s belongs to nobody, releasing it", id);
			host_link_call(e->d->host, "session.release",
				       json_pack("{s:s}", "session", id), RELEASE_TIMEOUT,
				       orphan_answer, e);
		}
	}
}

static bool port_is_there(const json_t *ports, const struct attachment_row *a)
{
	const json_t *port;
	size_t i;

	json_array_foreach(ports, i, port)
	{
		if (strcmp(text_of(port, "vm") ?: "", a->vm) == 0 &&
		    strcmp(text_of(port, "port") ?: "", attachment_kind_name(a->kind)) == 0) {
			return true;
		}
	}
	return false;
}

/* What the record says is attached and is not, is attached again; what is and should not be,
 * detached. */
static void compare_attachments(struct engine *e, const struct session_row *row,
				const json_t *session)
{
	const json_t *disks = json_object_get(session, "disks");
	const json_t *const there_of[] = {
		[ATTACHMENT_CONSOLE] = json_object_get(session, "consoles"),
		[ATTACHMENT_VNC] = json_object_get(session, "displays"),
		[ATTACHMENT_MEMORY] = json_object_get(session, "memories"),
		[ATTACHMENT_GDB] = json_object_get(session, "gdbs"),
	};
	struct attachment_row *rows = NULL;
	struct fault fault = { 0 };
	size_t n = 0;
	int r = store_attachment_list(e->d->store, row->id, &rows, &n, &fault);

	for (size_t i = 0; r == 0 && i < n; i++) {
		bool there = rows[i].kind == ATTACHMENT_DISK ? find(disks, "vm", rows[i].vm) != NULL
			     : attachment_is_port(rows[i].kind)
				     ? port_is_there(json_object_get(session, "ports"), &rows[i])
				     : has_text(there_of[rows[i].kind], rows[i].vm);

		if (rows[i].state == ATTACHMENT_ATTACHED && !there) {
			log_info("reconcile: %s %s of %s is missing", row->id,
				 attachment_kind_name(rows[i].kind), rows[i].vm);
			rows[i].state = ATTACHMENT_WANTED;
			r = attachment_commit(e, row, &rows[i], &fault);
		}
	}
	attachment_rows_free(rows, n);
	if (r < 0) {
		log_warn("reconcile: %s: %s", row->id, fault.message);
	}
}

static void compare_session(struct engine *e, const struct session_row *row, const json_t *session)
{
	const char *dvm = text_of(session, "dvm") ?: "none";
	struct fault fault = { 0 };

	if (row->state == SESSION_ATTACHING || row->state == SESSION_READY) {
		if (strcmp(dvm, "none") == 0 || strcmp(dvm, "off") == 0) {
			fault_set(&fault, FAULT_DVM_LOST, "The D-VM is gone");
			post(e, row->id, SESSION_EV_DVM_LOST, &fault);
			return;
		}
		if (!json_is_true(json_object_get(session, "relay"))) {
			post(e, row->id, SESSION_EV_RELAY_LOST, NULL);
			return;
		}
		if (text_of(session, "host_key")) {
			engine_host_key(e, row->id, text_of(session, "host_key"));
		}
		compare_attachments(e, row, session);
	}
	post(e, row->id, SESSION_EV_RESUME, NULL);
}

static void compare_sessions(struct engine *e, const json_t *sessions)
{
	struct session_filter live = { .live = true };
	char after[ID_MAX] = "";
	size_t n;

	do {
		struct session_row *rows = NULL;

		n = 0;
		if (store_session_list(e->d->store, &live, STORE_PAGE_MAX, after, &rows, &n, NULL) <
		    0) {
			return;
		}
		for (size_t i = 0; i < n; i++) {
			strcpy(after, rows[i].id);
			compare_session(e, &rows[i], find(sessions, "session", rows[i].id));
		}
		session_rows_free(rows, n);
	} while (n == STORE_PAGE_MAX);
}

static void sessions_listed(const json_t *result, const struct fault *fault, void *user)
{
	struct pass *p = user;
	const json_t *sessions = json_object_get(result, "sessions");
	struct cloud *cloud = p->e->d->cloud;

	if (!pass_goes_on(p, fault)) {
		return;
	}
	release_orphans(p->e, sessions);
	compare_sessions(p->e, sessions);
	cloud->ops->refresh(cloud, domains_listed, p);
}

void reconcile(struct engine *e)
{
	struct pass *p = calloc(1, sizeof(*p));

	e->reconcile_number++;
	if (!p) {
		log_err("reconcile: out of memory");
		return;
	}
	p->e = e;
	p->number = e->reconcile_number;
	host_link_call(e->d->host, "session.list", NULL, ASK_TIMEOUT, sessions_listed, p);
}
