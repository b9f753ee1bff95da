/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the actions of session_table.h do.
 *
 * Theory of operation: an action is done in steps. Each step looks at the store and at nothing
 * else, does the first thing that is not as it should be (one call), records what came of it, and
 * asks for the next step; a step that finds nothing to do posts the event. So an action that is
 * begun anew, or whose process died, goes on where it was.
 */
#include <errno.h>
#include <string.h>

#include "clock.h"
#include "cloud.h"
#include "engine_internal.h"
#include "identity.h"
#include "log.h"

#define ASK_TIMEOUT (10 * USEC_PER_SEC)
#define ATTACH_TIMEOUT (30 * USEC_PER_SEC)
#define RELEASE_TIMEOUT (60 * USEC_PER_SEC)
#define PROVISION_SLACK (15 * USEC_PER_SEC) /* for what comes before the D-VM boots */

static void run_fail(struct run *run, const struct fault *fault)
{
	run_done(run, SESSION_EV_FAIL, &(struct change){ .fault = fault });
}

/* The row of the run that an answer came for. The caller lets go of it. */
static int reread(struct run *run, struct session_row *ret)
{
	struct fault fault = { 0 };
	int r = store_session_get(run->e->d->store, run->id, ret, &fault);

	if (r < 0) {
		run_retry(run, &fault);
	}
	return r;
}

static bool in_time(struct dvmd *d, usec_t since)
{
	return clock_realtime() < since + d->config.provision_deadline;
}

/* Before `ready`: what may pass is tried again until the state's time is up. */
static void run_refused(struct run *run, const struct fault *fault)
{
	struct session_row row;

	if (!fault_retryable(fault)) {
		run_fail(run, fault);
		return;
	}
	if (reread(run, &row) == 0) {
		bool again = in_time(run->e->d, row.state_at);

		session_row_fini(&row);
		if (again) {
			run_retry(run, fault);
		} else {
			run_fail(run, fault);
		}
	}
}

/* ---- authorize */

static int check_targets(struct dvmd *d, const struct session_row *row, struct fault *fault)
{
	struct target_row targets[SESSION_TARGETS_MAX];
	size_t n = 0;
	int r = store_target_list(d->store, row->id, targets, &n, fault);

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct vm_row vm;

		r = store_vm_get(d->store, targets[i].vm, &vm, fault);
		if (r == -ENOENT ||
		    (r == 0 && (vm.state == VM_GONE || strcmp(vm.project, row->project) != 0))) {
			return fault_set(fault, FAULT_VM_GONE, "VM %s no longer exists",
					 targets[i].name);
		}
	}
	return r;
}

static void act_authorize(struct run *run, const struct session_row *row)
{
	struct dvmd *d = run->e->d;
	struct user_row owner;
	struct fault fault = { 0 };
	int r = store_user_get(d->store, row->owner, &owner, &fault);

	if (r == -ENOENT || (r == 0 && !(row->rights & RIGHT_DEBUG))) {
		r = fault_set(&fault, FAULT_FORBIDDEN, "The right \"debug\" is missing");
	}
	if (r == 0) {
		r = check_targets(d, row, &fault);
	}
	if (r < 0) {
		run_refused(run, &fault);
		return;
	}
	run_done(run, SESSION_EV_AUTHORIZED, NULL);
}

/* ---- place */

static void placed(struct run *run, const json_t *result, const struct fault *away, const char *arg)
{
	struct dvmd *d = run->e->d;
	const char *hypervisor = json_string_value(json_object_get(result, "hypervisor"));
	json_int_t free_mib = json_integer_value(json_object_get(result, "memory_free_mib"));
	struct fault fault = { 0 };

	if (away) {
		run_refused(run, away);
		return;
	}
	if (!hypervisor || strcmp(hypervisor, "up") != 0) {
		fault_set(&fault, FAULT_HYPERVISOR_AWAY, "The hypervisor cannot be reached now");
		run_refused(run, &fault);
		return;
	}
	if (free_mib < (json_int_t)d->config.dvm_memory_mib) {
		fault_set(&fault, FAULT_NO_CAPACITY, "There is no memory for a D-VM now");
		run_fail(run, &fault);
		return;
	}
	run_done(run, SESSION_EV_PLACED, NULL);
}

static void act_place(struct run *run, const struct session_row *row)
{
	struct fault fault = { 0 };

	if (strcmp(row->placement, "other") == 0) {
		fault_set(&fault, FAULT_NO_CAPACITY, "There is no other host than the target's");
		run_fail(run, &fault);
		return;
	}
	run_call(run, "host.info", NULL, ASK_TIMEOUT, placed, "");
}

/* ---- choose an image */

/* By id, a unique beginning of 8 letters or more, or name; "": the configured one, else the
 * default. */
static const json_t *find_image(const json_t *images, const char *wanted)
{
	const json_t *image, *found = NULL;
	size_t i, len = strlen(wanted), n = 0;

	json_array_foreach(images, i, image)
	{
		const char *id = json_string_value(json_object_get(image, "id"));
		const char *name = json_string_value(json_object_get(image, "name"));

		if (!id || !name) {
			continue;
		}
		if (len == 0 ? json_is_true(json_object_get(image, "default"))
			     : strcmp(id, wanted) == 0 || strcmp(name, wanted) == 0) {
			return image;
		}
		if (len >= 8 && strncmp(id, wanted, len) == 0) {
			found = image;
			n++;
		}
	}
	return n == 1 ? found : NULL;
}

static const char *missing_stack(const json_t *image, const json_t *stacks)
{
	const json_t *wanted, *stack;
	size_t i, k;

	json_array_foreach(stacks, i, wanted)
	{
		bool found = false;

		json_array_foreach(json_object_get(image, "stacks"), k, stack)
		{
			found = found || json_equal(json_object_get(stack, "name"), wanted);
		}
		if (!found) {
			return json_string_value(wanted);
		}
	}
	return NULL;
}

static int choose_image(struct dvmd *d, const struct session_row *row, const json_t *images,
			const char **ret_id, struct fault *fault)
{
	const char *wanted = row->image[0] ? row->image : d->config.image, *stack;
	const json_t *image = find_image(images, wanted);

	if (!image) {
		return wanted[0] ? fault_set(fault, FAULT_IMAGE_MISSING,
					     "There is no D-VM image \"%.64s\"", wanted)
				 : fault_set(fault, FAULT_IMAGE_MISSING, "There is no D-VM image");
	}
	stack = missing_stack(image, row->stacks);
	if (stack) {
		return fault_set(fault, FAULT_STACK_MISSING,
				 "The D-VM image has no stack \"%.64s\"", stack);
	}
	*ret_id = json_string_value(json_object_get(image, "id"));
	return 0;
}

static void images_listed(struct run *run, const json_t *result, const struct fault *away,
			  const char *arg)
{
	struct session_row row;
	struct change change = { 0 };
	struct fault fault = { 0 };
	int r;

	if (away) {
		run_refused(run, away);
		return;
	}
	if (reread(run, &row) < 0) {
		return;
	}
	r = choose_image(run->e->d, &row, json_object_get(result, "images"), &change.image, &fault);
	session_row_fini(&row);
	if (r < 0) {
		run_fail(run, &fault);
		return;
	}
	run_done(run, SESSION_EV_IMAGE_CHOSEN, &change);
}

/* ---- provision */

json_t *agent_config(struct dvmd *d, const struct session_row *row)
{
	struct target_row targets[SESSION_TARGETS_MAX];
	usec_t now = clock_realtime();
	json_t *list = json_array();
	size_t n = 0;

	if (store_target_list(d->store, row->id, targets, &n, NULL) < 0) {
		n = 0;
	}
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(
			list, json_pack("{s:s,s:s}", "vm", targets[i].vm, "name", targets[i].name));
	}
	return json_pack("{s:s,s:O,s:I,s:O,s:o}", "hostname", row->id, "keys", row->keys, "lease_s",
			 (json_int_t)(row->lease_expires > now
					      ? (row->lease_expires - now) / USEC_PER_SEC
					      : 0),
			 "stacks", row->stacks, "targets", list);
}

/* How the D-VM came to be, and how long that took. */
static void measure_start(struct run *run, const char *how)
{
	struct dvmd *d = run->e->d;
	struct session_row row;
	struct fault fault = { 0 };

	if (!how || store_session_get(d->store, run->id, &row, &fault) < 0) {
		return;
	}
	metrics_observe(d->metrics, METRIC_START_SECONDS, how, clock_realtime() - row.state_at);
	if (d->config.pool_max > 0) {
		metrics_count(d->metrics, METRIC_POOL, strcmp(how, "pool") == 0 ? "hit" : "miss");
	}
	session_row_fini(&row);
}

static void provisioned(struct run *run, const json_t *result, const struct fault *refused,
			const char *arg)
{
	struct change change = {
		.image = json_string_value(json_object_get(result, "image")),
		.host_key = json_string_value(json_object_get(result, "host_key")),
	};
	struct fault fault = { 0 };

	if (!refused && !change.host_key) {
		fault_set(&fault, FAULT_PROTOCOL, "The host's answer is not understood");
		refused = &fault;
	}
	if (refused) {
		run_refused(run, refused);
		return;
	}
	measure_start(run, json_string_value(json_object_get(result, "start")));
	run_done(run, SESSION_EV_DVM_UP, &change);
}

static void act_provision(struct run *run, const struct session_row *row)
{
	const struct config *config = &run->e->d->config;

	run_call(run, "dvm.ensure",
		 json_pack("{s:s,s:s,s:O,s:i,s:i,s:I,s:o}", "session", row->id, "image", row->image,
			   "stacks", row->stacks, "memory_mib", (int)config->dvm_memory_mib,
			   "vcpus", (int)config->dvm_vcpus, "boot_timeout_ms",
			   (json_int_t)(config->dvm_boot_timeout / USEC_PER_MSEC), "agent",
			   agent_config(run->e->d, row)),
		 config->dvm_boot_timeout + PROVISION_SLACK, provisioned, "");
}

/* ---- attach */

/* An attachment and what it belongs to, for one step. */
struct work {
	struct session_row session;
	struct attachment_row a;
};

static void work_fini(struct work *w)
{
	session_row_fini(&w->session);
	attachment_row_fini(&w->a);
}

/* For answers: `arg` is the attachment's id. -EAGAIN: the run tries again. */
static int work_load(struct run *run, const char *arg, struct work *ret)
{
	struct fault fault = { 0 };
	int r;

	*ret = (struct work){ 0 };
	if (reread(run, &ret->session) < 0) {
		return -EAGAIN;
	}
	r = store_attachment_get(run->e->d->store, arg, &ret->a, &fault);
	if (r < 0) {
		session_row_fini(&ret->session);
		run_retry(run, &fault);
		return -EAGAIN;
	}
	return 0;
}

static void work_commit(struct run *run, struct work *w, enum attachment_state state,
			const struct fault *why)
{
	struct fault fault = { 0 };

	w->a.state = state;
	if (why && w->a.fault.code == FAULT_NONE) {
		w->a.fault = *why;
	}
	if (attachment_commit(run->e, &w->session, &w->a, &fault) < 0) {
		run_retry(run, &fault);
	} else {
		run_continue(run);
	}
}

/* It cannot be made. Disks, ports and memory may be half there: they are detached, which also lifts
 * the fence. */
static void attach_refused(struct run *run, struct work *w, const struct fault *fault)
{
	usec_t since = MAX(w->session.state_at, w->a.created);
	bool wait = fault->code == FAULT_HOST_AWAY && w->session.ready_at != 0;

	if (fault_retryable(fault) && (wait || in_time(run->e->d, since))) {
		run_retry(run, fault);
		return;
	}
	if (fault->code == FAULT_DVM_LOST || fault->code == FAULT_NOT_FOUND) {
		/* There is nothing to attach it to. */
		run_done(run, SESSION_EV_DVM_LOST, &(struct change){ .fault = fault });
		return;
	}
	if (w->a.required && w->session.ready_at == 0) {
		run_fail(run, fault);
		return;
	}
	log_info("%s %s of %s cannot be attached: %s", run->id, attachment_kind_name(w->a.kind),
		 w->a.vm, fault_code_name(fault->code));
	work_commit(run, w,
		    attachment_is_wished(w->a.kind) ? ATTACHMENT_DETACHING : ATTACHMENT_GONE,
		    fault);
}

static void stream_attached(struct run *run, const json_t *result, const struct fault *fault,
			    const char *arg)
{
	_cleanup_(work_fini) struct work w = { 0 };

	if (work_load(run, arg, &w) < 0) {
		return;
	}
	if (w.a.state != ATTACHMENT_WANTED) {
		run_continue(run);
	} else if (fault) {
		attach_refused(run, &w, fault);
	} else {
		work_commit(run, &w, ATTACHMENT_ATTACHED, NULL);
	}
}

static void devices_attached(struct run *run, const json_t *result, const struct fault *fault,
			     const char *arg)
{
	_cleanup_(work_fini) struct work w = { 0 };
	json_t *devices = json_object_get(result, "devices");

	if (work_load(run, arg, &w) < 0) {
		return;
	}
	if (w.a.state != ATTACHMENT_WANTED) {
		run_continue(run); /* given back meanwhile */
	} else if (fault) {
		attach_refused(run, &w, fault);
	} else {
		json_decref(w.a.devices);
		w.a.devices = json_is_array(devices) ? json_incref(devices) : NULL;
		work_commit(run, &w, ATTACHMENT_ATTACHED, NULL);
	}
}

/* -ENOENT: not a target, which the store's writers do not allow. */
static int find_target(struct dvmd *d, const struct session_row *row, const char *vm,
		       struct target_row *ret, struct fault *fault)
{
	struct target_row targets[SESSION_TARGETS_MAX];
	size_t n = 0;
	int r = store_target_list(d->store, row->id, targets, &n, fault);

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (strcmp(targets[i].vm, vm) == 0) {
			*ret = targets[i];
			return 0;
		}
	}
	return r < 0 ? r : fault_set(fault, FAULT_INTERNAL, "Not a target");
}

static void disk_fenced(struct run *run, const json_t *result, const struct fault *refused,
			const char *arg)
{
	_cleanup_(work_fini) struct work w = { 0 };
	struct dvmd *d = run->e->d;
	struct target_row target;
	struct vm_row vm;
	struct fault fault = { 0 };
	int r;

	if (work_load(run, arg, &w) < 0) {
		return;
	}
	if (refused) {
		attach_refused(run, &w, refused);
		return;
	}
	if (w.a.state != ATTACHMENT_WANTED) {
		run_continue(run);
		return;
	}
	r = find_target(d, &w.session, w.a.vm, &target, &fault);
	if (r == 0) {
		r = store_vm_get(d->store, w.a.vm, &vm, &fault);
	}
	if (r == -ENOENT) {
		fault_set(&fault, FAULT_VM_GONE, "VM %s no longer exists", target.name);
	}
	if (r < 0) {
		attach_refused(run, &w, &fault);
		return;
	}
	run_call(run, "attach.disk",
		 json_pack("{s:s,s:s,s:s,s:i,s:s}", "session", run->id, "vm", vm.id, "domain",
			   vm.domain, "index", (int)target.index, "mode", w.a.mode),
		 ATTACH_TIMEOUT, devices_attached, arg);
}

static const char *stream_method(enum attachment_kind kind)
{
	return kind == ATTACHMENT_CONSOLE ? "attach.console"
	       : kind == ATTACHMENT_VNC	  ? "attach.vnc"
					  : "attach.gdb";
}

/* The VM's console is kept from its adoption on, by the relay that its display is shown through
 * too; should that have failed, it is made up for here. */
static void console_kept(struct run *run, const json_t *result, const struct fault *refused,
			 const char *arg)
{
	_cleanup_(work_fini) struct work w = { 0 };
	struct target_row target;
	struct fault fault = { 0 };
	json_t *params;

	if (work_load(run, arg, &w) < 0) {
		return;
	}
	if (refused) {
		attach_refused(run, &w, refused);
		return;
	}
	if (find_target(run->e->d, &w.session, w.a.vm, &target, &fault) < 0) {
		run_retry(run, &fault);
		return;
	}
	params = json_pack("{s:s,s:s,s:s,s:s}", "session", run->id, "vm", w.a.vm, "name",
			   target.name, "mode", strcmp(w.a.mode, "rw") == 0 ? "rw" : "r");
	if (w.a.kind == ATTACHMENT_CONSOLE) {
		json_object_set_new(params, "record", json_true());
	}
	run_call(run, stream_method(w.a.kind), params, ATTACH_TIMEOUT, stream_attached, arg);
}

static void attach_stream(struct run *run, const struct attachment_row *a)
{
	struct vm_row vm;
	struct fault fault = { 0 };
	int r = store_vm_get(run->e->d->store, a->vm, &vm, &fault);

	if (r < 0) {
		/* A VM in a session does not leave the inventory. */
		run_retry(run, &fault);
		return;
	}
	run_call(run, "console.ensure", json_pack("{s:s,s:s}", "vm", vm.id, "domain", vm.domain),
		 ATTACH_TIMEOUT, console_kept, a->id);
}

/* A port, or memory. */
static void attach_device(struct run *run, const struct attachment_row *a)
{
	struct session_row session;
	struct target_row target;
	struct vm_row vm;
	struct fault fault = { 0 };
	json_t *params;
	int r = reread(run, &session);

	if (r < 0) {
		return;
	}
	r = find_target(run->e->d, &session, a->vm, &target, &fault);
	session_row_fini(&session);
	if (r == 0) {
		r = store_vm_get(run->e->d->store, a->vm, &vm, &fault);
	}
	if (r < 0) {
		/* A VM in a session does not leave the inventory. */
		run_retry(run, &fault);
		return;
	}
	params = json_pack("{s:s,s:s,s:s,s:i}", "session", run->id, "vm", vm.id, "domain",
			   vm.domain, "index", (int)target.index);
	if (attachment_is_port(a->kind)) {
		json_object_set_new(params, "port", json_string(attachment_kind_name(a->kind)));
		json_object_set_new(params, "mode",
				    json_string(strcmp(a->mode, "rw") == 0 ? "rw" : "r"));
	}
	run_call(run, attachment_is_port(a->kind) ? "attach.port" : "attach.memory", params,
		 ATTACH_TIMEOUT, devices_attached, a->id);
}

/* Whether the D-VM, as far as `refused` says, may still hold what was to be detached. */
static bool detach_failed(struct run *run, const struct work *w, const struct fault *refused)
{
	if (!refused || refused->code == FAULT_NOT_ATTACHED || refused->code == FAULT_NOT_FOUND ||
	    refused->code == FAULT_DVM_LOST || refused->code == FAULT_SESSION_ENDED) {
		return false;
	}
	if (!fault_retryable(refused)) {
		log_warn("%s: %s of %s cannot be detached: %s, trying again", run->id,
			 attachment_kind_name(w->a.kind), w->a.vm, fault_code_name(refused->code));
	}
	return true;
}

static void device_detached(struct run *run, const json_t *result, const struct fault *refused,
			    const char *arg)
{
	_cleanup_(work_fini) struct work w = { 0 };

	if (work_load(run, arg, &w) < 0) {
		return;
	}
	if (detach_failed(run, &w, refused)) {
		run_retry(run, refused);
		return;
	}
	work_commit(run, &w, ATTACHMENT_GONE, NULL);
}

static void detach_device(struct run *run, const struct attachment_row *a)
{
	if (a->kind == ATTACHMENT_MEMORY) {
		run_call(run, "detach.memory",
			 json_pack("{s:s,s:s}", "session", run->id, "vm", a->vm), ATTACH_TIMEOUT,
			 device_detached, a->id);
		return;
	}
	run_call(run, "detach.port",
		 json_pack("{s:s,s:s,s:s}", "session", run->id, "vm", a->vm, "port",
			   attachment_kind_name(a->kind)),
		 ATTACH_TIMEOUT, device_detached, a->id);
}

static void disk_detached(struct run *run, const json_t *result, const struct fault *refused,
			  const char *arg)
{
	_cleanup_(work_fini) struct work w = { 0 };
	struct cloud *cloud = run->e->d->cloud;
	struct fault fault = { 0 };

	if (work_load(run, arg, &w) < 0) {
		return;
	}
	/* As long as the D-VM may hold the disks, nothing else will do. */
	if (detach_failed(run, &w, refused)) {
		run_retry(run, refused);
		return;
	}
	if (cloud->ops->unfence(cloud, w.a.vm, run->id, &fault) < 0) {
		run_retry(run, &fault);
		return;
	}
	work_commit(run, &w, ATTACHMENT_GONE, NULL);
}

static void detach_disk(struct run *run, const struct attachment_row *a, run_answer_fn fn)
{
	run_call(run, "detach.disk", json_pack("{s:s,s:s}", "session", run->id, "vm", a->vm),
		 ATTACH_TIMEOUT, fn, a->id);
}

/* The first attachment that is not as it is wished to be; detaching before attaching. */
static int next_wish(struct run *run, struct attachment_row *ret, struct fault *fault)
{
	static const enum attachment_state order[] = { ATTACHMENT_DETACHING, ATTACHMENT_WANTED };
	struct attachment_row *rows = NULL;
	size_t n = 0;
	int r = store_attachment_list(run->e->d->store, run->id, &rows, &n, fault);

	if (r < 0) {
		return r;
	}
	r = -ENOENT;
	for (size_t k = 0; r < 0 && k < ARRAY_SIZE(order); k++) {
		for (size_t i = 0; r < 0 && i < n; i++) {
			if (rows[i].state == order[k]) {
				*ret = rows[i];
				rows[i].devices = NULL;
				r = 0;
			}
		}
	}
	attachment_rows_free(rows, n);
	return r;
}

static void act_attach(struct run *run, const struct session_row *row)
{
	_cleanup_(attachment_row_fini) struct attachment_row a = { 0 };
	struct fault fault = { 0 };
	int r = next_wish(run, &a, &fault);

	if (r == -ENOENT && row->state == SESSION_ATTACHING) {
		run_done(run, SESSION_EV_ATTACHED, NULL);
	} else if (r == -ENOENT) {
		run_idle(run);
	} else if (r < 0) {
		run_retry(run, &fault);
	} else if (attachment_is_wished(a.kind) && a.kind != ATTACHMENT_DISK) {
		if (a.state == ATTACHMENT_DETACHING) {
			detach_device(run, &a);
		} else {
			attach_device(run, &a);
		}
	} else if (a.state == ATTACHMENT_DETACHING) {
		detach_disk(run, &a, disk_detached);
	} else if (a.kind != ATTACHMENT_DISK) {
		attach_stream(run, &a);
	} else {
		run_fence(run, a.vm, disk_fenced, a.id);
	}
}

/* ---- release */

static int unfence_all(struct run *run, struct fault *fault)
{
	struct cloud *cloud = run->e->d->cloud;
	struct target_row targets[SESSION_TARGETS_MAX];
	size_t n = 0;
	int r = store_target_list(run->e->d->store, run->id, targets, &n, fault);

	for (size_t i = 0; r == 0 && i < n; i++) {
		r = cloud->ops->unfence(cloud, targets[i].vm, run->id, fault);
	}
	return r;
}

/* With the D-VM, all that was attached to it is gone. */
static int forget_attachments(struct run *run, const struct session_row *row, struct fault *fault)
{
	struct attachment_row *rows = NULL;
	size_t n = 0;
	int r = store_attachment_list(run->e->d->store, run->id, &rows, &n, fault);

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (rows[i].state == ATTACHMENT_GONE) {
			continue;
		}
		if (rows[i].state == ATTACHMENT_WANTED && rows[i].fault.code == FAULT_NONE) {
			fault_set(&rows[i].fault, FAULT_SESSION_ENDED, "The session has ended");
		}
		rows[i].state = ATTACHMENT_GONE;
		r = attachment_commit(run->e, row, &rows[i], fault);
	}
	attachment_rows_free(rows, n);
	return r;
}

static void released(struct run *run, const json_t *result, const struct fault *refused,
		     const char *arg)
{
	struct session_row row;
	struct fault fault = { 0 };
	bool failed;
	int r;

	if (refused) {
		if (!fault_retryable(refused)) {
			log_warn("%s cannot be released: %s, trying again", run->id,
				 fault_code_name(refused->code));
		}
		run_retry(run, refused);
		return;
	}
	if (reread(run, &row) < 0) {
		return;
	}
	failed = row.fault.code != FAULT_NONE;
	r = unfence_all(run, &fault);
	if (r == 0) {
		r = forget_attachments(run, &row, &fault);
	}
	session_row_fini(&row);
	if (r < 0) {
		run_retry(run, &fault);
		return;
	}
	run_done(run, failed ? SESSION_EV_RELEASED_FAULT : SESSION_EV_RELEASED, NULL);
}

/* A disk that was let go. One that was not goes with the D-VM: only an absent host is waited for.
 */
static void disk_given_back(struct run *run, const json_t *result, const struct fault *refused,
			    const char *arg)
{
	_cleanup_(work_fini) struct work w = { 0 };

	if (refused && refused->code == FAULT_HOST_AWAY) {
		run_retry(run, refused);
		return;
	}
	if (work_load(run, arg, &w) < 0) {
		return;
	}
	if (refused) {
		run->forced = true;
		run_continue(run);
		return;
	}
	work_commit(run, &w, ATTACHMENT_GONE, NULL);
}

static int next_disk(struct run *run, struct attachment_row *ret, struct fault *fault)
{
	struct attachment_row *rows = NULL;
	size_t n = 0;
	int r = store_attachment_list(run->e->d->store, run->id, &rows, &n, fault);

	if (r < 0) {
		return r;
	}
	r = -ENOENT;
	for (size_t i = 0; r < 0 && i < n; i++) {
		if (rows[i].kind == ATTACHMENT_DISK && (rows[i].state == ATTACHMENT_ATTACHED ||
							rows[i].state == ATTACHMENT_DETACHING)) {
			*ret = rows[i];
			rows[i].devices = NULL;
			r = 0;
		}
	}
	attachment_rows_free(rows, n);
	return r;
}

static void act_release(struct run *run, const struct session_row *row)
{
	_cleanup_(attachment_row_fini) struct attachment_row a = { 0 };
	struct fault fault = { 0 };
	int r = run->forced ? -ENOENT : next_disk(run, &a, &fault);

	if (r == 0) {
		detach_disk(run, &a, disk_given_back);
	} else if (r == -ENOENT) {
		run_call(run, "session.release", json_pack("{s:s}", "session", run->id),
			 RELEASE_TIMEOUT, released, "");
	} else {
		run_retry(run, &fault);
	}
}

void run_act(struct run *run, const struct session_row *row)
{
	switch (run->acting) {
	case SESSION_ACT_AUTHORIZE:
		act_authorize(run, row);
		break;
	case SESSION_ACT_PLACE:
		act_place(run, row);
		break;
	case SESSION_ACT_CHOOSE_IMAGE:
		run_call(run, "image.list", NULL, ASK_TIMEOUT, images_listed, "");
		break;
	case SESSION_ACT_PROVISION:
		act_provision(run, row);
		break;
	case SESSION_ACT_ATTACH:
		act_attach(run, row);
		break;
	case SESSION_ACT_RELEASE:
		act_release(run, row);
		break;
	}
}
