/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.set, and what follows from it.
 *
 * Theory of operation: one operation at a time looks after the pool (tend_run): what is too much or
 * of another shape than the image of now goes, at most one is made. A member is a D-VM named "p-…",
 * started from the memory image of its shape but not let run, so it has executed nothing since that
 * was made; one user has it from the start. A session gets it in one step, when the hypervisor
 * keeps the session's name in place of its own (dvm_adopt): before, nobody but us knows it, and a
 * dvm-hostd that finds it removes it; after, it is the session's. Which one a session is getting
 * stands in session.json before, so one that was handed over half-way is known, and goes.
 */
#include "pool_ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "dvm.h"
#include "dvm_uid.h"
#include "file.h"
#include "hostinfo.h"
#include "log.h"
#include "methods.h"
#include "parse.h"
#include "server.h"
#include "session_file.h"

#define ID_LEN 12
/* It is looked after without a reason so often: memory, a new image. */
#define TEND_EVERY (10 * USEC_PER_SEC)
/* While sessions wait for their D-VMs, the processors are theirs. */
#define TEND_BUSY (300 * USEC_PER_MSEC)
#define REFILL_MIN_MS 100
#define REFILL_MAX_MS 3600000

/* --- members
 * -------------------------------------------------------------------------------------------- */

int pool_member_remove(struct hostd *h, const char *id, struct fault *fault)
{
	_cleanup_free_ char *folder = session_path(h, id, "");
	int r = h->hv->ops->dvm_destroy(h->hv, id, fault);

	if (r == 0 && folder && dir_remove(folder) < 0) {
		log_warn("%s could not be removed, ignoring", folder);
	}
	return r;
}

static void member_discard(struct hostd *h, const char *id)
{
	struct fault fault;

	if (pool_member_remove(h, id, &fault) < 0) {
		/* It is in no list: the next contact with the hypervisor finds it. */
		log_warn("%s: %s", id, fault.message);
	}
	pool_drop(h->pool, id);
}

static int member_begin(struct hostd *h, const char *id, uid_t *ret_uid)
{
	int r;

	dvm_uid_lock();
	*ret_uid = dvm_uid_choose(h, id);
	r = pool_add(h->pool, id, *ret_uid);
	dvm_uid_unlock();
	return r;
}

/* Where it cannot be now there is none more; -EREMOTEIO where the operator should know. */
static int member_make(struct hostd *h, struct dvm_plan *plan, const char *shape,
		       struct fault *fault)
{
	_cleanup_free_ char *id = random_id("p", ID_LEN);
	_cleanup_free_ char *folder = id ? session_path(h, id, "") : NULL;
	json_auto_t *state = json_object();
	int r;

	if (!folder || !state || member_begin(h, id, &plan->spec.uid) < 0) {
		return 0;
	}
	plan->spec.gid = plan->spec.uid;
	plan->spec.paused = true;
	r = dir_make(folder, 0700) < 0
		    ? fault_set(fault, FAULT_INTERNAL, "The pool's folder could not be made")
		    : dvm_plan_name(h, plan, id, fault);
	if (r == 0) {
		r = dvm_create_from_memory(h, id, &plan->spec, state, fault);
	}
	if (r == 0) {
		r = op_failpoint(fault, "hostd.pool.made");
	}
	if (r == 0 && pool_ready(h->pool, id, shape) == 0) {
		return 0;
	}
	member_discard(h, id);
	return r == -EREMOTEIO ? r : 0;
}

/* --- looked after
 * --------------------------------------------------------------------------------------- */

static double memory_stalled(void)
{
	_cleanup_free_ char *text = NULL;
	double percent = 0;
	size_t len;

	/* A kernel without it says nothing: then only what is free counts. */
	if (file_read("/proc/pressure/memory", 4096, &text, &len) < 0 ||
	    sscanf(text, "some avg10=%lf", &percent) != 1) {
		return 0;
	}
	return percent;
}

static unsigned want_now(struct hostd *h, const struct pool_settings *settings)
{
	struct pool_load load = { .recent = pool_recent(h->pool),
				  .ready = pool_n_ready(h->pool),
				  .stalled = memory_stalled() };

	if (host_memory(&load.free_mib, &load.total_mib) < 0) {
		return 0;
	}
	return pool_want(settings, &load);
}

/* What members are to be like now: the image may be another one than a minute ago. */
static int plan_now(struct hostd *h, const struct pool_settings *settings, struct dvm_plan *ret,
		    char **ret_shape, struct fault *fault)
{
	json_auto_t *state =
		json_pack("{sss[]sisi}", "image", settings->image, "stacks", "memory_mib",
			  (int)settings->memory_mib, "vcpus", (int)settings->vcpus);
	int r = state ? dvm_plan(h, state, ret, fault)
		      : fault_set(fault, FAULT_INTERNAL, "Out of memory");

	return r < 0 ? r : h->hv->ops->dvm_shape(h->hv, &ret->spec, ret_shape, fault);
}

static int tend_run(struct op *op)
{
	struct hostd *h = op->hostd;
	_cleanup_(dvm_plan_fini) struct dvm_plan plan = { 0 };
	_cleanup_free_ char *shape = NULL;
	char id[DVM_SESSION_MAX + 1];
	struct pool_settings settings;
	unsigned want = 0;
	int r = 0;

	pool_get(h->pool, &settings);
	if (settings.max > 0) {
		r = plan_now(h, &settings, &plan, &shape, &op->fault);
		if (r < 0 && op->fault.code == FAULT_HYPERVISOR_AWAY) {
			return r; /* they may be there still */
		}
		want = r == 0 || op->fault.code == FAULT_NO_CAPACITY ? want_now(h, &settings) : 0;
	}
	while (pool_surplus(h->pool, shape, want, id)) {
		member_discard(h, id);
	}
	if (r == 0 && pool_n_ready(h->pool) < want && h->starting == 0 &&
	    pool_pause(h->pool) == 0) {
		r = member_make(h, &plan, shape, &op->fault);
	}
	op->result = json_pack("{sisi}", "ready", (int)pool_n_ready(h->pool), "want", (int)want);
	return r;
}

static int on_timer(sd_event_source *source, uint64_t now, void *user)
{
	pool_tend_start(user);
	return 0;
}

static void tend_after(struct hostd *h, usec_t after)
{
	int r;

	if (!h->pool_timer) {
		r = sd_event_add_time_relative(h->event, &h->pool_timer, CLOCK_MONOTONIC, after,
					       100 * USEC_PER_MSEC, on_timer, h);
	} else {
		r = sd_event_source_set_time_relative(h->pool_timer, after);
		if (r == 0) {
			r = sd_event_source_set_enabled(h->pool_timer, SD_EVENT_ONESHOT);
		}
	}
	if (r < 0) {
		log_err("no timer; the pool stays as it is: %s", strerror(-r));
	}
}

static void tend_finish(struct op *op)
{
	struct hostd *h = op->hostd;
	json_int_t ready = json_integer_value(json_object_get(op->result, "ready"));
	json_int_t want = json_integer_value(json_object_get(op->result, "want"));
	struct pool_settings settings;

	h->pool_tending = false;
	pool_get(h->pool, &settings);
	if (op->result) {
		server_notify(h->server, "pool.changed",
			      json_pack("{sIsI}", "ready", ready, "want", want));
	}
	if (h->stopping || (settings.max == 0 && ready == 0 && !h->pool_again)) {
		return;
	}
	if (h->pool_again) {
		pool_tend_start(h);
	} else if (ready >= want) {
		tend_after(h, TEND_EVERY);
	} else if (h->starting > 0) {
		tend_after(h, TEND_BUSY);
	} else {
		/* Where none could be made, a new memory image comes here too (dvm.prepare). */
		tend_after(h, pool_pause(h->pool) ?: TEND_EVERY);
	}
}

static const struct op_method tend_method = {
	.name = "pool", .key = "pool", .run = tend_run, .finish = tend_finish
};

void pool_tend_start(struct hostd *h)
{
	h->pool_again = h->pool_tending;
	if (!h->pool_tending && !h->stopping && h->hv->ops->alive(h->hv)) {
		h->pool_tending = true;
		op_start(h, &tend_method, json_pack("{ss}", "pool", "host"), NULL);
	}
}

static int drain_run(struct op *op)
{
	char id[DVM_SESSION_MAX + 1];

	while (pool_surplus(op->hostd->pool, NULL, 0, id)) {
		member_discard(op->hostd, id);
	}
	return 0;
}

static const struct op_method drain_method = { .name = "pool drain",
					       .key = "pool",
					       .run = drain_run };

void pool_drain_start(struct hostd *h)
{
	pool_close(h->pool);
	op_start(h, &drain_method, json_pack("{ss}", "pool", "host"), NULL);
}

void pool_timer_stop(struct hostd *h)
{
	h->pool_timer = sd_event_source_disable_unref(h->pool_timer);
}

static bool pool_image_valid(const char *s)
{
	return strlen(s) <= POOL_NAME_MAX && image_reference_valid(s);
}

static int pool_set_run(struct op *op)
{
	struct pool_settings s = { 0 };
	const char *which = op_string(op, "image", pool_image_valid);
	uint64_t memory_mib, vcpus, min, max, budget_mib, refill_ms;

	if (!which || op_number(op, "memory_mib", 1, 65536, &memory_mib) < 0 ||
	    op_number(op, "vcpus", 1, 64, &vcpus) < 0 ||
	    op_number(op, "min", 0, POOL_MEMBERS_MAX, &min) < 0 ||
	    op_number(op, "max", 0, POOL_MEMBERS_MAX, &max) < 0 ||
	    op_number(op, "budget_mib", 0, 1 << 20, &budget_mib) < 0 ||
	    op_number(op, "refill_ms", REFILL_MIN_MS, REFILL_MAX_MS, &refill_ms) < 0) {
		return -EREMOTEIO;
	}
	if (min > max) {
		return fault_set(&op->fault, FAULT_BAD_VALUE, "\"min\" is larger than \"max\"");
	}
	strcpy(s.image, which);
	s.memory_mib = (unsigned)memory_mib;
	s.vcpus = (unsigned)vcpus;
	s.min = (unsigned)min;
	s.max = (unsigned)max;
	s.budget_mib = (unsigned)budget_mib;
	s.refill = refill_ms * USEC_PER_MSEC;
	pool_set(op->hostd->pool, &s);
	return 0;
}

static void pool_set_finish(struct op *op)
{
	pool_tend_start(op->hostd);
}

const struct op_method pool_methods[] = {
	{ .name = "pool.set", .run = pool_set_run, .finish = pool_set_finish },
	{ .name = NULL },
};

/* --- handed over
 * ---------------------------------------------------------------------------------------- */

static int note(struct hostd *h, const char *session, json_t *state, uid_t uid, const char *member,
		struct fault *fault)
{
	json_object_set_new(state, "uid", json_integer((json_int_t)uid));
	if (member) {
		json_object_set_new(state, "member", json_string(member));
	} else {
		json_object_del(state, "member");
	}
	return session_save(h, session, state, fault);
}

static int hand_over(struct hostd *h, const char *session, const struct dvm_plan *plan,
		     const char *member, struct fault *fault)
{
	const struct dvm_adoption adoption = { .member = member,
					       .session = session,
					       .image = plan->spec.image,
					       .owner = plan->spec.owner };
	int r = op_failpoint(fault, "hostd.pool.taken");

	if (r == 0) {
		r = h->hv->ops->dvm_adopt(h->hv, &adoption, fault);
	}
	if (r == 0) {
		r = op_failpoint(fault, "hostd.pool.adopted");
	}
	for (size_t i = 1; i < plan->spec.n_layers && r == 0; i++) {
		r = dvm_layer_attach(h, session, &plan->spec.layers[i], fault);
	}
	if (r == 0) {
		r = h->hv->ops->dvm_resume(h->hv, session, fault);
	}
	return r == 0 ? op_failpoint(fault, "hostd.pool.resumed") : r;
}

int pool_hand_over(struct hostd *h, const char *session, const struct dvm_plan *plan, json_t *state,
		   struct fault *fault)
{
	_cleanup_free_ char *shape = NULL;
	struct dvm_spec bare = plan->spec;
	char member[DVM_SESSION_MAX + 1];
	struct fault later;
	uid_t uid;
	int r;

	if (!pool_is_on(h->pool) || (bare.n_layers > 1 && !plan->image.stacks_plugged)) {
		return -ENOENT;
	}
	bare.n_layers = 1; /* the stacks are plugged in */
	r = h->hv->ops->dvm_shape(h->hv, &bare, &shape, fault);
	if (r < 0) {
		return r;
	}
	if (!pool_take(h->pool, shape, member, &uid)) {
		return -ENOENT;
	}
	r = note(h, session, state, uid, member, fault);
	if (r == 0) {
		r = hand_over(h, session, plan, member, fault);
	}
	pool_drop(h->pool, member);
	if (r == 0) {
		return 0;
	}
	log_warn("%s: one that waited cannot be used: %s", session, fault->message);
	if (h->hv->ops->dvm_destroy(h->hv, session, &later) < 0 ||
	    pool_member_remove(h, member, &later) < 0 ||
	    note(h, session, state, plan->spec.uid, NULL, &later) < 0) {
		*fault = later; /* it is in session.json still: who comes next goes on from here */
		return -EREMOTEIO;
	}
	return fault->code == FAULT_HYPERVISOR_AWAY ? -EREMOTEIO : -EBADMSG;
}
