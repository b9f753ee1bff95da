/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dvm.*, session.* and attach.console: a session's relay and D-VM, made, kept in line with
 * session.json, removed.
 *
 * Theory of operation: dvm.ensure writes the file, then calls the same session_link() that a
 * restart, a lost relay or a returning hypervisor lead to. Each step looks first at what is there,
 * so any of them may be broken off and begun anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "boots.h"
#include "cleanup.h"
#include "file.h"
#include "hostinfo.h"
#include "image.h"
#include "log.h"
#include "methods.h"
#include "parse.h"
#include "server.h"
#include "session_file.h"
#include "stream_connect.h"

/* Left to the host when a D-VM starts, besides the D-VM's own memory and the emulator's. */
#define MEMORY_RESERVE_MIB 256
#define EMULATOR_MIB 128
#define MEMORY_MIN_MIB 64
#define MEMORY_MAX_MIB 65536
#define VCPUS_MAX 64
#define BOOT_TIMEOUT_MAX_MS 600000

static int no_memory(struct fault *fault)
{
	return fault_set(fault, FAULT_INTERNAL, "Out of memory");
}

/* --- the D-VM
 * -------------------------------------------------------------------------------------------- */

static int enough_memory(unsigned memory_mib, struct fault *fault)
{
	uint64_t free_mib, total_mib;

	if (host_memory(&free_mib, &total_mib) == 0 &&
	    free_mib < (uint64_t)memory_mib + EMULATOR_MIB + MEMORY_RESERVE_MIB) {
		fault_set(fault, FAULT_NO_CAPACITY,
			  "There is not enough memory for a debug VM of %u MiB", memory_mib);
		fault_hint(fault, "End another session, or ask for less memory.");
		return -EREMOTEIO;
	}
	return 0;
}

static const char *state_string(const json_t *state, const char *key)
{
	const char *value = json_string_value(json_object_get(state, key));

	return value ? value : "";
}

static int add_layer(struct dvm_spec *spec, const char *name, const char *path, struct fault *fault)
{
	if (spec->n_layers == DVM_LAYERS_MAX) {
		return fault_set(fault, FAULT_BAD_VALUE, "Too many stacks");
	}
	spec->layers[spec->n_layers++] = (struct dvm_layer){ .name = name, .path = path };
	return 0;
}

/* `base` is in the root; the others are layers of their own where the image has one. */
static int add_stacks(struct dvm_spec *spec, const struct image *image, const json_t *stacks,
		      struct fault *fault)
{
	const json_t *stack;
	size_t i;

	json_array_foreach(stacks, i, stack)
	{
		const char *name = json_string_value(stack);
		size_t at = 0;
		int r;

		while (at < image->n_stacks && strcmp(image->stack_names[at], name) != 0) {
			at++;
		}
		if (at == image->n_stacks) {
			if (strcmp(name, "base") == 0) {
				continue;
			}
			fault_set(fault, FAULT_STACK_MISSING, "The D-VM image has no stack \"%s\"",
				  name);
			return -EREMOTEIO;
		}
		r = add_layer(spec, image->stacks[at].name, image->stacks[at].path, fault);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

static int dvm_create(struct hostd *h, const char *session, const json_t *state,
		      struct fault *fault)
{
	_cleanup_(image_fini) struct image image = { 0 };
	_cleanup_free_ char *log_path = session_path(h, session, "console.log");
	struct dvm_spec spec = {
		.session = session,
		.log_path = log_path,
		.memory_mib = (unsigned)json_integer_value(json_object_get(state, "memory_mib")),
		.vcpus = (unsigned)json_integer_value(json_object_get(state, "vcpus")),
		.uid = (uid_t)json_integer_value(json_object_get(state, "uid")),
	};
	int r;

	if (!log_path) {
		return no_memory(fault);
	}
	spec.gid = spec.uid;
	r = enough_memory(spec.memory_mib, fault);
	if (r == 0) {
		r = image_find(h->images, state_string(state, "image"), &image, fault);
	}
	if (r == 0) {
		r = image_verify(h->images, &image, fault);
	}
	if (r < 0) {
		return r;
	}
	spec.image = image.id;
	spec.owner = h->id;
	spec.kernel = image.kernel.path;
	spec.initrd = image.initrd.path;
	spec.cmdline = image.cmdline;
	r = add_layer(&spec, image.root.name, image.root.path, fault);
	if (r == 0) {
		r = add_stacks(&spec, &image, json_object_get(state, "stacks"), fault);
	}
	if (r == 0) {
		r = op_failpoint(fault, "hostd.dvm.verified");
	}
	return r < 0 ? r : h->hv->ops->dvm_create(h->hv, &spec, fault);
}

/* The D-VM runs afterwards. FAULT_DVM_LOST when it was there once and is not any more. */
static int dvm_need(struct hostd *h, const char *session, json_t *state, struct fault *fault)
{
	_cleanup_(domain_info_fini) struct domain_info info = { 0 };
	int r;

	r = h->hv->ops->dvm_get(h->hv, session, &info, fault);
	if (r == 0) {
		return info.state == DOMAIN_PAUSED ? h->hv->ops->dvm_resume(h->hv, session, fault)
						   : 0;
	}
	if (fault->code != FAULT_DVM_LOST || json_is_true(json_object_get(state, "created"))) {
		return r;
	}
	r = dvm_create(h, session, state, fault);
	if (r == 0) {
		r = op_failpoint(fault, "hostd.dvm.created");
	}
	if (r == 0) {
		json_object_set_new(state, "created", json_true());
		r = session_save(h, session, state, fault);
	}
	return r;
}

/* --- bringing relay and D-VM together
 * -------------------------------------------------------------------- */

static json_t *agent_config(const char *session, const json_t *state)
{
	json_t *config = json_deep_copy(json_object_get(state, "agent"));

	if (!config) {
		config = json_object();
	}
	json_object_set_new(config, "session", json_string(session));
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
	return relay_call(h, session, "agent.link", agent_config(session, state), fd, -1, NULL,
			  fault);
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

/* One console of the session: link and recording, as far as `status` lacks them. */
static int console_link(struct hostd *h, const char *session, const json_t *console,
			const json_t *status, struct fault *fault)
{
	const char *vm = state_string(console, "vm"), *name = state_string(console, "name");
	int r = 0;

	if (!has_string(json_object_get(status, "upstreams"), name)) {
		_cleanup_close_ int fd = -1;

		if (!relay_exists(h, vm, NULL)) {
			return fault_set(fault, FAULT_NOT_ATTACHED, "The VM's console is not kept");
		}
		r = relay_need(h, vm, NULL, fault);
		if (r == 0) {
			r = stream_connect(h, vm, "console", "take", &fd, fault);
		}
		if (r == 0) {
			r = relay_call(h, session, "upstream.link", json_pack("{ss}", "name", name),
				       fd, -1, NULL, fault);
		}
	}
	if (r == 0 && json_is_true(json_object_get(console, "record")) &&
	    !has_string(json_object_get(status, "records"), name)) {
		r = record_open(h, session, name, fault);
	}
	return r;
}

/* Whatever the session's relay lacks of what `state` says. */
static int session_link(struct hostd *h, const char *session, const json_t *state,
			struct fault *fault)
{
	json_auto_t *status = NULL;
	const json_t *console;
	struct fault later;
	size_t i;
	int r;

	r = relay_call(h, session, "status", NULL, -1, -1, &status, fault);
	if (r == 0 && strcmp(state_string(status, "agent"), "none") == 0) {
		r = agent_link(h, session, state, fault);
	}
	if (r < 0) {
		return r;
	}
	json_array_foreach(json_object_get(state, "consoles"), i, console)
	{
		if (console_link(h, session, console, status, &later) < 0) {
			/* Comes again with the console's own relay. */
			log_warn("%s: console %s: %s", session, state_string(console, "name"),
				 later.message);
		}
	}
	return 0;
}

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
		}
	}
	if (session_each(h, restore_one, h) < 0) {
		log_warn("sessions could not be listed, ignoring");
	}
}

/* --- dvm.ensure
 * ------------------------------------------------------------------------------------------ */

static bool strings_valid(const json_t *list, bool (*valid)(const char *), size_t max)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > max) {
		return false;
	}
	json_array_foreach(list, i, item)
	{
		if (!json_is_string(item) || !valid(json_string_value(item))) {
			return false;
		}
	}
	return true;
}

struct uid_search {
	const struct hostd *hostd;
	uid_t uid;
	bool used;
};

static int uid_compare(const char *session, void *user)
{
	struct uid_search *search = user;
	json_auto_t *state = NULL;
	struct fault fault;

	if (session_load(search->hostd, session, &state, &fault) == 0 &&
	    (uid_t)json_integer_value(json_object_get(state, "uid")) == search->uid) {
		search->used = true;
	}
	return search->used;
}

/* A user that no other D-VM of this host has; 0 where we are not root. */
static uid_t uid_choose(const struct hostd *h, const char *session)
{
	unsigned hash = 5381;

	for (const char *p = session; *p; p++) {
		hash = hash * 33 + (unsigned char)*p;
	}
	for (unsigned i = 0; h->root && i < UIDS_EACH; i++) {
		struct uid_search search = { .hostd = h,
					     .uid = DVM_UID_FIRST + (hash + i) % UIDS_EACH };

		session_each(h, uid_compare, &search);
		if (!search.used) {
			return search.uid;
		}
	}
	return 0;
}

/* The session's file as it is, or as the parameters want it. */
static int state_begin(struct op *op, const char *session, json_t **ret)
{
	static pthread_mutex_t uid_lock = PTHREAD_MUTEX_INITIALIZER;
	_cleanup_(image_fini) struct image image = { 0 };
	const char *which = op_string(op, "image", image_reference_valid);
	json_t *stacks = json_object_get(op->params, "stacks");
	json_t *agent = json_object_get(op->params, "agent");
	uint64_t memory_mib, vcpus;
	json_auto_t *state = NULL;
	int r;

	if (!which ||
	    op_number(op, "memory_mib", MEMORY_MIN_MIB, MEMORY_MAX_MIB, &memory_mib) < 0 ||
	    op_number(op, "vcpus", 1, VCPUS_MAX, &vcpus) < 0) {
		return -EREMOTEIO;
	}
	if (!strings_valid(stacks, name_valid, DVM_LAYERS_MAX) || !json_is_object(agent)) {
		return fault_set(&op->fault, FAULT_BAD_VALUE,
				 "\"stacks\" or \"agent\" is missing or malformed");
	}
	r = session_load(op->hostd, session, &state, &op->fault);
	if (r < 0 && op->fault.code != FAULT_NOT_FOUND) {
		return r;
	}
	if (state) {
		json_object_set(state, "agent", agent);
		r = session_save(op->hostd, session, state, &op->fault);
	} else {
		r = image_find(op->hostd->images, which, &image, &op->fault);
		if (r < 0) {
			return r;
		}
		pthread_mutex_lock(&uid_lock); /* until the choice stands in the file */
		state = json_pack("{sssOsIsIsOsIsbs[]s[]}", "image", image.id, "stacks", stacks,
				  "memory_mib", (json_int_t)memory_mib, "vcpus", (json_int_t)vcpus,
				  "agent", agent, "uid", (json_int_t)uid_choose(op->hostd, session),
				  "created", 0, "consoles", "disks");
		r = state ? session_save(op->hostd, session, state, &op->fault) : op_no_memory(op);
		pthread_mutex_unlock(&uid_lock);
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
	uint64_t timeout_ms;
	int r;

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
		r = dvm_need(h, session, state, &op->fault);
	}
	if (r == 0) {
		progress(h, session, "boot", "The debug VM boots");
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
	op->result = json_pack("{ssss}", "session", session, "image", state_string(state, "image"));
	return op->result ? 0 : op_no_memory(op);
}

static void dvm_ensure_finish(struct op *op)
{
	uint64_t timeout_ms = 0;

	if (op->status < 0 ||
	    op_number(op, "boot_timeout_ms", 1, BOOT_TIMEOUT_MAX_MS, &timeout_ms) < 0) {
		return; /* op_reply() tells the fault */
	}
	boots_wait_take(op->hostd, state_string(op->result, "session"),
			state_string(op->result, "image"), timeout_ms * USEC_PER_MSEC,
			TAKE_PTR(op->request));
}

/* --- dvm.config, attach.console
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
	return relay_call(op->hostd, session, "agent.config", agent_config(session, state), -1, -1,
			  NULL, &op->fault);
}

static int attach_console(struct op *op)
{
	struct hostd *h = op->hostd;
	const char *session = op_string(op, "session", session_id_valid);
	const char *vm = op_string(op, "vm", vm_id_valid);
	const char *name = op_string(op, "name", name_valid);
	json_auto_t *state = NULL, *status = NULL;
	json_t *console;
	int r;

	if (!session || !vm || !name) {
		return -EREMOTEIO;
	}
	r = session_load(h, session, &state, &op->fault);
	if (r < 0) {
		return r;
	}
	console = json_pack("{sssssb}", "vm", vm, "name", name, "record", op_true(op, "record"));
	session_entry_remove(state, "consoles", vm);
	if (json_array_append_new(json_object_get(state, "consoles"), console) < 0) {
		return op_no_memory(op);
	}
	r = session_save(h, session, state, &op->fault);
	if (r == 0) {
		r = op_failpoint(&op->fault, "hostd.attach.console.recorded");
	}
	if (r == 0) {
		r = relay_need(h, session, NULL, &op->fault);
	}
	if (r == 0) {
		r = relay_call(h, session, "status", NULL, -1, -1, &status, &op->fault);
	}
	if (r == 0) {
		r = console_link(h, session, console, status, &op->fault);
	}
	return r;
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
			result, json_pack("{sssssO?so}", "vm", state_string(entry, "vm"), "mode",
					  state_string(entry, "mode"), "index",
					  json_object_get(entry, "index"), "devices", devices));
	}
	return result;
}

static int list_one(const char *session, void *user)
{
	struct list_job *job = user;
	const struct domain_brief *dvm = dvm_of(job->domains, session);
	json_auto_t *state = NULL, *status = NULL;
	json_t *consoles, *host_key;
	const json_t *console;
	struct fault fault;
	bool relay, agent;
	size_t i;

	if (json_object_get(job->sessions, session)) {
		return 0;
	}
	if (session_load(job->hostd, session, &state, &fault) < 0) {
		state = NULL;
	}
	relay = relay_call(job->hostd, session, "status", NULL, -1, -1, &status, &fault) == 0;
	agent = strcmp(state_string(status, "agent"), "up") == 0;
	consoles = json_array();
	json_array_foreach(json_object_get(state, "consoles"), i, console)
	{
		json_array_append(consoles, json_object_get(console, "vm"));
	}
	host_key = json_object_get(status, "host_key");
	return json_object_set_new(job->sessions, session,
				   json_pack("{sssssbsbsO?soso}", "session", session, "dvm",
					     dvm ? domain_state_name(dvm->state) : "none", "relay",
					     relay, "agent", agent, "host_key", host_key, "disks",
					     list_disks(state), "consoles", consoles));
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
		if (domain_is_our_dvm(op->hostd, &domains.domains[i])) {
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
	{ .name = "attach.console", .key = "session", .run = attach_console },
	{ .name = "session.release",
	  .key = "session",
	  .run = session_release,
	  .finish = session_release_finish },
	{ .name = "session.list", .run = session_list },
	{ .name = NULL },
};
