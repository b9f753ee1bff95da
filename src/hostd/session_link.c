/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings a session's relay and D-VM in line with session.json.
 *
 * dvm.ensure comes here, and so do a start of dvm-hostd, the loss of a relay and the return of the
 * hypervisor. Each step looks first at what is there, so any of them may be broken off and begun
 * anew.
 */
#include "session_link.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "cleanup.h"
#include "dvm.h"
#include "file.h"
#include "log.h"
#include "methods.h"
#include "parse.h"
#include "server.h"
#include "session_file.h"
#include "stream_connect.h"

static int no_memory(struct fault *fault)
{
	return fault_set(fault, FAULT_INTERNAL, "Out of memory");
}

/* --- bringing relay and D-VM together
 * -------------------------------------------------------------------- */

json_t *session_agent_config(const char *session, const json_t *state)
{
	json_t *config = json_deep_copy(json_object_get(state, "agent"));

	if (!config) {
		config = json_object();
	}
	json_object_set_new(config, "session", json_string(session));
	json_object_set_new(config, "ports", session_ports_config(state));
	return json_pack("{so}", "config", config);
}

static int agent_link(struct hostd *h, const char *session, const json_t *state,
		      struct fault *fault)
{
	_cleanup_close_ int fd = -1;
	int r;

	r = h->hv->ops->dvm_tunnel_open(h->hv, session, &fd, fault);
	if (r < 0) {
		return r;
	}
	return relay_call(h, session, "agent.link", session_agent_config(session, state), fd, -1,
			  NULL, fault);
}

static int record_open(struct hostd *h, const char *session, const char *name, struct fault *fault)
{
	_cleanup_free_ char *folder = strf("%s/recordings/%s", h->state, session);
	_cleanup_free_ char *cast_path = strf("%s/recordings/%s/%s.cast", h->state, session, name);
	_cleanup_free_ char *page_name = strf("record-%s", name);
	_cleanup_free_ char *page_path = page_name ? session_path(h, session, page_name) : NULL;
	_cleanup_close_ int cast_fd = -1, page_fd = -1;
	int r;

	if (!folder || !cast_path || !page_path) {
		return no_memory(fault);
	}
	r = dir_make(folder, 0700);
	if (r == 0) {
		cast_fd = open(cast_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		page_fd = open(page_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		r = cast_fd < 0 || page_fd < 0 ? -errno : 0;
	}
	if (r < 0) {
		return fault_set(fault, r == -ENOSPC ? FAULT_DISK_FULL : FAULT_INTERNAL,
				 "The recording could not be begun");
	}
	return relay_call(
		h, session, "record.open",
		json_pack("{sssssisi}", "name", name, "upstream", name, "columns", 80, "rows", 24),
		cast_fd, page_fd, NULL, fault);
}

static bool has_string(const json_t *list, const char *text)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		const char *value = json_string_value(
			json_is_object(item) ? json_object_get(item, "name") : item);

		if (value && strcmp(value, text) == 0) {
			return true;
		}
	}
	return false;
}

/* Whether the relay has the link as it is to be. */
static bool is_linked(const json_t *status, const char *service, const char *name, const char *mode)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(status, "upstreams"), i, item)
	{
		if (strcmp(session_string(item, "service"), service) == 0 &&
		    strcmp(session_string(item, "name"), name) == 0) {
			return strcmp(session_string(item, "mode"), mode) == 0;
		}
	}
	return false;
}

/* The session's relay, joined to a service of the VM's, if `status` lacks it. */
static int service_link(struct hostd *h, const char *session, const char *service,
			const json_t *entry, const json_t *status, struct fault *fault)
{
	const char *vm = session_string(entry, "vm"), *name = session_string(entry, "name");
	const char *mode = strcmp(session_string(entry, "mode"), "r") == 0 ? "r" : "rw";
	_cleanup_close_ int fd = -1;
	int r;

	if (is_linked(status, service, name, mode)) {
		return 0;
	}
	if (!relay_exists(h, vm, NULL)) {
		return fault_set(fault, FAULT_NOT_ATTACHED, "The VM's console is not kept");
	}
	r = relay_need(h, vm, NULL, fault);
	if (r == 0) {
		/* What the session's relay is to refuse, the VM's refuses too. */
		r = stream_connect(h, vm, service, strcmp(mode, "r") == 0 ? "r" : "take", &fd,
				   fault);
	}
	if (r == 0) {
		r = relay_call(
			h, session, "upstream.link",
			json_pack("{ssssss}", "service", service, "name", name, "mode", mode), fd,
			-1, NULL, fault);
	}
	return r;
}

int session_gdb_link(struct hostd *h, const char *session, const json_t *gdb, const json_t *status,
		     struct fault *fault)
{
	return service_link(h, session, "gdb", gdb, status, fault);
}

int session_display_link(struct hostd *h, const char *session, const json_t *display,
			 const json_t *status, struct fault *fault)
{
	return service_link(h, session, "vnc", display, status, fault);
}

/* One console of the session: link and recording, as far as `status` lacks them. */
int session_console_link(struct hostd *h, const char *session, const json_t *console,
			 const json_t *status, struct fault *fault)
{
	const char *name = session_string(console, "name");
	int r = service_link(h, session, "console", console, status, fault);

	if (r == 0 && json_is_true(json_object_get(console, "record")) &&
	    !has_string(json_object_get(status, "records"), name)) {
		r = record_open(h, session, name, fault);
	}
	return r;
}

/* Whatever the session's relay lacks of what `state` says. */
int session_link(struct hostd *h, const char *session, const json_t *state, struct fault *fault)
{
	json_auto_t *status = NULL;
	const json_t *console, *display;
	struct fault later;
	size_t i;
	int r;

	r = relay_call(h, session, "status", NULL, -1, -1, &status, fault);
	if (r == 0 && strcmp(session_string(status, "agent"), "none") == 0) {
		r = agent_link(h, session, state, fault);
	}
	if (r < 0) {
		return r;
	}
	json_array_foreach(json_object_get(state, "consoles"), i, console)
	{
		if (session_console_link(h, session, console, status, &later) < 0) {
			/* Comes again with the console's own relay. */
			log_warn("%s: console %s: %s", session, session_string(console, "name"),
				 later.message);
		}
	}
	json_array_foreach(json_object_get(state, "displays"), i, display)
	{
		if (session_display_link(h, session, display, status, &later) < 0) {
			log_warn("%s: display %s: %s", session, session_string(display, "name"),
				 later.message);
		}
	}
	json_array_foreach(json_object_get(state, "gdbs"), i, display)
	{
		if (session_gdb_link(h, session, display, status, &later) < 0) {
			log_warn("%s: debugger %s: %s", session, session_string(display, "name"),
				 later.message);
		}
	}
	session_ports_link(h, session, state, status);
	return 0;
}

/* --- of our own accord
 */

static int restore_run(struct op *op)
{
	struct hostd *h = op->hostd;
	const char *session = op_string(op, "session", session_id_valid);
	json_auto_t *state = NULL;
	int r;

	r = session_load(h, session, &state, &op->fault);
	if (r < 0) {
		/* A relay that nothing stands behind: made, and then we died. */
		return op->fault.code == FAULT_NOT_FOUND ? relay_stop(h, session, &op->fault) : r;
	}
	if (!json_is_true(json_object_get(state, "created"))) {
		return 0; /* dvm.ensure goes on from here */
	}
	r = relay_need(h, session, NULL, &op->fault);
	if (r == 0) {
		r = dvm_need(h, session, state, &op->fault);
	}
	return r < 0 ? r : session_link(h, session, state, &op->fault);
}

static void restore_finish(struct op *op)
{
	if (op->status < 0 && op->fault.code == FAULT_DVM_LOST) {
		server_notify(op->hostd->server, "dvm.lost",
			      json_pack("{sOss}", "session", json_object_get(op->params, "session"),
					"reason", "gone"));
	}
}

static const struct op_method restore_method = {
	.name = "session restore",
	.key = "session",
	.run = restore_run,
	.finish = restore_finish,
};

void session_restore_start(struct hostd *h, const char *session)
{
	op_start(h, &restore_method, json_pack("{ss}", "session", session), NULL);
}

static int restore_one(const char *session, void *user)
{
	session_restore_start(user, session);
	return 0;
}

void restore_all_start(struct hostd *h)
{
	struct relay *r;
	size_t it = 0;

	while ((r = relay_next(h->relays, &it))) {
		if (relay_is_console(r)) {
			console_refresh_start(h, relay_name(r));
			if (vm_id_valid(relay_name(r))) {
				gdb_look_start(h, relay_name(r), relay_domain(r), false);
			}
		}
	}
	if (session_each(h, restore_one, h) < 0) {
		log_warn("sessions could not be listed, ignoring");
	}
}
