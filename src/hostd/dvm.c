/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The D-VM of a session.json: what it takes, made, found, and the memory images that most start
 * from.
 *
 * Theory of operation of those: dvm.prepare starts a D-VM that belongs to no session ("t-…", never
 * told to dvmd), lets it boot until its agent waits for the host, and saves its memory; the D-VM is
 * gone with that. Whoever makes a D-VM of the same shape later starts from a copy of the file, with
 * a name, a user and a log of its own. A start from memory that fails removes the image and boots;
 * so does, for the next, one that does not get ready.
 */
#include "dvm.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "dir_each.h"
#include "dvm_plan.h"
#include "file.h"
#include "image.h"
#include "log.h"
#include "memory.h"
#include "methods.h"
#include "parse.h"
#include "pool_ops.h"
#include "session_file.h"

/* A D-VM that is to become a memory image has that long to boot, is looked at so often, and is left
 * alone so long after its agent has come up, which goes on preparing. */
#define PREPARE_BOOT_MAX (120 * USEC_PER_SEC)
#define PREPARE_POLL (100 * USEC_PER_MSEC)
#define PREPARE_SETTLE (1500 * USEC_PER_MSEC)
/* It lets sessions go first, but not for ever. */
#define PREPARE_QUIET_MAX (60 * USEC_PER_SEC)
/* Of the disk, besides the memory itself. */
#define PREPARE_DISK_MIB 64

static int no_memory(struct fault *fault)
{
	return fault_set(fault, FAULT_INTERNAL, "Out of memory");
}

/* --- made and found
 * ------------------------------------------------------------------------------------------- */

int dvm_create_from_memory(struct hostd *h, const char *session, struct dvm_spec *spec,
			   json_t *state, struct fault *fault)
{
	_cleanup_free_ char *shape = NULL, *path = session_path(h, session, "memory");
	char name[MEMORY_NAME_LEN + 1];
	int r;

	if (!path || h->hv->ops->dvm_shape(h->hv, spec, &shape, fault) < 0) {
		return path ? -EREMOTEIO : no_memory(fault);
	}
	if (!memory_find(h->memory, shape, name)) {
		return -ENOENT;
	}
	r = memory_copy(h->memory, name, path);
	if (r < 0) {
		log_warn("%s: its memory image cannot be copied: %s; it boots", session,
			 strerror(-r));
		return r;
	}
	spec->memory = path;
	r = h->hv->ops->dvm_create(h->hv, spec, fault);
	spec->memory = NULL;
	unlink(path);
	if (r == 0) {
		json_object_set_new(state, "memory", json_string(name));
	} else if (fault->code == FAULT_HYPERVISOR_FAILED) {
		log_warn("%s: %s; it boots", session, fault->message);
		memory_drop(h->memory, name);
		r = -EBADMSG;
	}
	return r;
}

static int dvm_create(struct hostd *h, const char *session, json_t *state, struct fault *fault)
{
	_cleanup_(dvm_plan_fini) struct dvm_plan plan;
	int r;

	r = dvm_plan(h, state, &plan, fault);
	if (r == 0) {
		r = dvm_plan_name(h, &plan, session, fault);
	}
	if (r == 0) {
		r = op_failpoint(fault, "hostd.dvm.verified");
	}
	if (r < 0) {
		return r;
	}
	r = pool_hand_over(h, session, &plan, state, fault);
	if (r == 0 || r == -EREMOTEIO) {
		return r;
	}
	r = dvm_create_from_memory(h, session, &plan.spec, state, fault);
	return r == 0 || r == -EREMOTEIO ? r : h->hv->ops->dvm_create(h->hv, &plan.spec, fault);
}

/* FAULT_DVM_LOST also for one that the hypervisor, killed while it started it, lists until it has
 * tidied up. */
static int dvm_running(struct hostd *h, const char *session, struct fault *fault)
{
	_cleanup_(domain_info_fini) struct domain_info info = { 0 };
	int r = h->hv->ops->dvm_get(h->hv, session, &info, fault);

	return r == 0 && info.state == DOMAIN_PAUSED ? h->hv->ops->dvm_resume(h->hv, session, fault)
						     : r;
}

/* One of the pool's that we were giving to it when we died: it may have run already, or not. */
static int drop_half_taken(struct hostd *h, const char *session, json_t *state, struct fault *fault)
{
	int r;

	if (!json_object_get(state, "member")) {
		return 0;
	}
	r = h->hv->ops->dvm_destroy(h->hv, session, fault);
	if (r == 0) {
		r = pool_member_remove(h, session_string(state, "member"), fault);
	}
	json_object_del(state, "member");
	return r < 0 ? r : session_save(h, session, state, fault);
}

int dvm_need(struct hostd *h, const char *session, json_t *state, struct fault *fault)
{
	bool created = json_is_true(json_object_get(state, "created"));
	int r;

	r = created ? 0 : drop_half_taken(h, session, state, fault);
	if (r < 0) {
		return r;
	}
	r = dvm_running(h, session, fault);
	if (r < 0 && fault->code == FAULT_DVM_LOST && !created) {
		r = dvm_create(h, session, state, fault);
		if (r == 0) {
			r = op_failpoint(fault, "hostd.dvm.created");
		}
	}
	/* Also where we died between the two. */
	if (r == 0 && !created) {
		json_object_set_new(state, "created", json_true());
		r = session_save(h, session, state, fault);
	}
	return r;
}

/* --- memory images
 * -------------------------------------------------------------------------------------------- */

static bool making_name_valid(const char *s)
{
	return s[0] == 't' && s[1] == '-' && s[2];
}

static int disk_has_room(const struct hostd *h, unsigned memory_mib, struct fault *fault)
{
	struct statvfs fs;

	if (statvfs(h->state, &fs) == 0 &&
	    (uint64_t)fs.f_bavail * fs.f_frsize >> 20 < memory_mib + PREPARE_DISK_MIB) {
		return fault_set(fault, FAULT_DISK_FULL,
				 "The host's disk has no room for a memory image");
	}
	return 0;
}

/* False when told to stop. */
static bool wait_poll(struct hostd *h, usec_t time)
{
	for (usec_t until = clock_monotonic() + time; clock_monotonic() < until;) {
		if (memory_store_stopping(h->memory)) {
			return false;
		}
		usleep(PREPARE_POLL);
	}
	return !memory_store_stopping(h->memory);
}

/* While sessions wait for their D-VMs, the processors are theirs. */
static int wait_quiet(struct hostd *h, struct fault *fault)
{
	usec_t until = clock_monotonic() + PREPARE_QUIET_MAX;

	while (h->starting > 0 && clock_monotonic() < until) {
		if (!wait_poll(h, PREPARE_POLL)) {
			return fault_set(fault, FAULT_CANCELLED, "The host's service is stopping");
		}
	}
	return 0;
}

static int wait_settled(struct hostd *h, const char *name, struct fault *fault)
{
	usec_t until = clock_monotonic() + PREPARE_BOOT_MAX;
	bool settled = false;

	while (!settled) {
		if (h->hv->ops->dvm_settled(h->hv, name, &settled, fault) < 0) {
			return -EREMOTEIO;
		}
		if (clock_monotonic() > until) {
			return fault_set(fault, FAULT_DVM_TIMEOUT,
					 "The debug VM for a memory image did not get ready");
		}
		if (!wait_poll(h, settled ? PREPARE_SETTLE : PREPARE_POLL)) {
			return fault_set(fault, FAULT_CANCELLED, "The host's service is stopping");
		}
	}
	return 0;
}

static int making_run(struct hostd *h, struct memory_making *m, const struct dvm_spec *spec,
		      struct fault *fault)
{
	const char *name = memory_making_name(m);
	struct fault later;
	int r;

	r = wait_quiet(h, fault);
	if (r == 0) {
		r = h->hv->ops->dvm_create(h->hv, spec, fault);
	}
	if (r == 0) {
		r = op_failpoint(fault, "hostd.prepare.created");
	}
	if (r == 0) {
		r = wait_settled(h, name, fault);
	}
	if (r == 0) {
		r = h->hv->ops->dvm_save(h->hv, name, memory_making_path(m), fault);
	}
	if (r < 0) {
		h->hv->ops->dvm_destroy(h->hv, name, &later);
		return r;
	}
	r = memory_finish(m);
	return r < 0 ? fault_set(fault, r == -ENOSPC ? FAULT_DISK_FULL : FAULT_INTERNAL,
				 "The memory image could not be kept")
		     : 0;
}

/* Makes the image for the shape of `plan`, unless somebody is at it. */
static int prepare(struct hostd *h, struct dvm_plan *plan, const char *shape, bool *ret_made,
		   struct fault *fault)
{
	_cleanup_free_ char *folder = NULL;
	struct memory_making *m;
	int r;

	r = disk_has_room(h, plan->spec.memory_mib, fault);
	if (r < 0) {
		return r;
	}
	r = memory_begin(h->memory, shape, &m);
	if (r < 0) {
		return r == -EALREADY ? 0 : no_memory(fault);
	}
	*ret_made = true;
	folder = session_path(h, memory_making_name(m), "");
	if (!folder || dir_make(folder, 0700) < 0) {
		r = no_memory(fault);
	} else {
		r = dvm_plan_name(h, plan, memory_making_name(m), fault);
		if (r == 0) {
			r = making_run(h, m, &plan->spec, fault);
		}
		if (dir_remove(folder) < 0) {
			log_warn("%s could not be removed, ignoring", folder);
		}
	}
	memory_making_free(m);
	return r;
}

static int dvm_prepare(struct op *op)
{
	struct hostd *h = op->hostd;
	_cleanup_(dvm_plan_fini) struct dvm_plan plan = { 0 };
	_cleanup_free_ char *shape = NULL;
	json_auto_t *state = NULL;
	char name[MEMORY_NAME_LEN + 1];
	bool made = false;
	int r;

	r = dvm_params(op, &state);
	if (r == 0) {
		/* No session's D-VM has this one. */
		json_object_set_new(state, "uid", json_integer(h->root ? DVM_UID_PREPARE : 0));
		r = dvm_plan(h, state, &plan, &op->fault);
	}
	if (r == 0 && !plan.image.memory_images) {
		r = fault_set(&op->fault, FAULT_NOT_SUPPORTED,
			      "The D-VM image is too old for memory images");
		fault_hint(&op->fault, "Build it anew: dvm image build");
	}
	if (r == 0) {
		r = h->hv->ops->dvm_shape(h->hv, &plan.spec, &shape, &op->fault);
	}
	if (r == 0 && !memory_find(h->memory, shape, name)) {
		r = prepare(h, &plan, shape, &made, &op->fault);
	}
	if (r < 0) {
		return r;
	}
	op->result = json_pack("{sb}", "made", made);
	return op->result ? 0 : op_no_memory(op);
}

static void dvm_prepare_finish(struct op *op)
{
	pool_tend_start(op->hostd);
}

const struct op_method dvm_methods[] = {
	{ .name = "dvm.prepare", .key = "image", .run = dvm_prepare, .finish = dvm_prepare_finish },
	{ .name = NULL },
};

static int suspect_run(struct op *op)
{
	const char *session = op_string(op, "session", session_id_valid);
	json_auto_t *state = NULL;
	struct fault fault;

	if (session && session_load(op->hostd, session, &state, &fault) == 0 &&
	    json_object_get(state, "memory")) {
		log_warn("%s did not get ready; its memory image is removed", session);
		memory_drop(op->hostd->memory, session_string(state, "memory"));
	}
	return 0;
}

static const struct op_method suspect_method = { .name = "memory suspect", .run = suspect_run };

void dvm_suspect_start(struct hostd *h, const char *session)
{
	op_start(h, &suspect_method, json_pack("{ss}", "session", session), NULL);
}

/* D-VMs and folders of an earlier dvm-hostd that nobody will ask for. One that a session is getting
 * is left to the session. */
struct tidy {
	struct hostd *hostd;
	const char *name;
};

static int compare_member(const char *session, void *user)
{
	struct tidy *tidy = user;
	json_auto_t *state = NULL;
	struct fault fault;

	return session_load(tidy->hostd, session, &state, &fault) == 0 &&
	       strcmp(session_string(state, "member"), tidy->name) == 0;
}

static bool is_loose(struct hostd *h, const char *name)
{
	struct tidy tidy = { .hostd = h, .name = name };

	if (making_name_valid(name)) {
		return !memory_is_making(h->memory, name);
	}
	return pool_id_valid(name) && !pool_has(h->pool, name) &&
	       session_each(h, compare_member, &tidy) == 0;
}

static bool loose_name_valid(const char *s)
{
	return making_name_valid(s) || pool_id_valid(s);
}

static int tidy_folder(const char *name, void *user)
{
	struct hostd *h = user;
	_cleanup_free_ char *folder = session_path(h, name, "");

	if (folder && is_loose(h, name) && dir_remove(folder) < 0) {
		log_warn("%s could not be removed, ignoring", folder);
	}
	return 0;
}

static int tidy_run(struct op *op)
{
	struct hostd *h = op->hostd;
	_cleanup_(domain_list_fini) struct domain_list domains = { 0 };
	_cleanup_free_ char *folder = strf("%s/run/dvm", h->state);
	int r;

	r = h->hv->ops->list(h->hv, &domains, &op->fault);
	for (size_t i = 0; i < domains.n_domains && r == 0; i++) {
		const struct domain_brief *domain = &domains.domains[i];

		if (domain_is_our_dvm(h, domain) && is_loose(h, domain->session)) {
			r = h->hv->ops->dvm_destroy(h->hv, domain->session, &op->fault);
		}
	}
	if (r == 0 && folder) {
		dir_each(folder, loose_name_valid, tidy_folder, h);
	}
	return r;
}

static const struct op_method tidy_method = { .name = "memory tidy", .run = tidy_run };

void dvm_tidy_start(struct hostd *h)
{
	op_start(h, &tidy_method, NULL, NULL);
}
