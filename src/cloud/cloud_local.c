/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cloud `local`: the inventory is in the store, the VMs are dvm-hostd's domains.
 *
 * Theory of operation: each request under way is a struct op in a list; there are no more of them
 * than callers have requests. A fence is set in the store before it is looked whether the VM is
 * off, and a start looks for a fence before anything else and stands in the list until its outcome
 * is recorded: so of a start and a fence at the same time, one is refused.
 */
#include <string.h>

#include "cloud.h"
#include "list.h"

#define POWER_TIMEOUT (90 * USEC_PER_SEC)
#define ASK_TIMEOUT (20 * USEC_PER_SEC)

struct cloud_local {
	struct cloud base;
	sd_event *event;
	struct store *store;
	struct cloud_port port;
	struct list ops;
};

struct op {
	struct list link;
	struct cloud_local *c;
	struct vm_row vm;
	enum power_verb verb;
	bool starts; /* the VM may run after it */
	bool was_fenced;
	char session[ID_MAX];
	cloud_state_fn fn;
	cloud_json_fn json_fn;
	void *user;
	/* an answer that is known before anybody was asked */
	sd_event_source *deferred;
	struct fault fault;
};

static struct cloud_local *to_local(struct cloud *c)
{
	return container_of(c, struct cloud_local, base);
}

static struct op *op_free(struct op *op)
{
	list_del(&op->link);
	sd_event_source_disable_unref(op->deferred);
	free(op);
	return NULL;
}
DEFINE_CLEANUP(struct op *, op_free);

static struct op *op_new(struct cloud_local *c, cloud_state_fn fn, void *user)
{
	struct op *op = calloc(1, sizeof(*op));

	if (op) {
		op->c = c;
		op->fn = fn;
		op->user = user;
		list_init(&op->link);
		list_add_tail(&c->ops, &op->link);
	}
	return op;
}

static int deferred_answer(sd_event_source *source, void *user)
{
	_cleanup_(op_freep) struct op *op = user;

	if (op->fault.code == FAULT_NONE) {
		op->fn(op->vm.state, NULL, op->user);
	} else {
		op->fn(VM_UNKNOWN, &op->fault, op->user);
	}
	return 0;
}

/* Answers from the loop. Only when there is no memory for that, from here. */
static void op_answer(struct op *op)
{
	if (sd_event_add_defer(op->c->event, &op->deferred, deferred_answer, op) < 0) {
		deferred_answer(NULL, op);
	}
}

static const struct fault no_memory = { .code = FAULT_INTERNAL, .message = "Out of memory" };

static int find_vm(struct cloud_local *c, const char *id, struct vm_row *ret, struct fault *fault)
{
	int r = store_vm_get(c->store, id, ret, fault);

	if (r == -ENOENT) {
		return fault_set(fault, FAULT_NOT_FOUND, "There is no such VM");
	}
	if (r == 0 && ret->state == VM_GONE) {
		return fault_set(fault, FAULT_VM_GONE, "VM %s no longer exists", ret->name);
	}
	return r;
}

/* Records a VM's state where it is news, with its event. */
static int record_state(struct cloud_local *c, const struct vm_row *vm, enum vm_state state,
			bool outside, bool *ret_changed, struct fault *fault)
{
	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
	struct vm_row now;
	int r;

	*ret_changed = false;
	r = store_tx_begin(&tx, c->store, fault);
	if (r < 0) {
		return r;
	}
	r = store_vm_get(c->store, vm->id, &now, fault);
	if (r < 0 || now.state == state) {
		return r == -ENOENT ? 0 : r;
	}
	r = store_vm_set_state(c->store, vm->id, state, fault);
	if (r == 0) {
		r = c->port.event(c->port.user, "vm.changed", NULL, &now,
				  json_pack("{s:s,s:s,s:s}", "from", vm_state_name(now.state), "to",
					    vm_state_name(state), "by",
					    outside ? "outside" : "dvm"),
				  fault);
	}
	if (r == 0) {
		r = store_tx_commit(&tx, fault);
	}
	*ret_changed = r == 0;
	return r;
}

static void take_state(struct cloud_local *c, const struct vm_row *vm, enum vm_state state,
		       bool outside)
{
	bool changed;
	struct fault fault = { 0 };
	struct vm_row now;

	/* A record that cannot be written now is written by the next refresh. */
	if (record_state(c, vm, state, outside, &changed, &fault) < 0 || !changed) {
		return;
	}
	c->port.committed(c->port.user);
	if (store_vm_get(c->store, vm->id, &now, NULL) == 0) {
		c->port.changed(c->port.user, &now, outside);
	}
}

static enum vm_state state_of(const json_t *result)
{
	const char *name = json_string_value(json_object_get(result, "state"));

	return name ? vm_state_parse(name) : VM_UNKNOWN;
}

static void local_domains(struct cloud *cloud, cloud_json_fn fn, void *user)
{
	struct cloud_local *c = to_local(cloud);

	c->port.host_call(c->port.user, "domain.list", NULL, ASK_TIMEOUT, fn, user);
}

static void local_domain(struct cloud *cloud, const char *ref, cloud_json_fn fn, void *user)
{
	struct cloud_local *c = to_local(cloud);

	c->port.host_call(c->port.user, "domain.get", json_pack("{s:s}", "domain", ref),
			  ASK_TIMEOUT, fn, user);
}

static bool verb_starts(enum power_verb verb)
{
	return verb == POWER_ON || verb == POWER_REBOOT || verb == POWER_RESET ||
	       verb == POWER_RESUME;
}

/* Only the record changes; nobody else is asked. */
static bool verb_is_record(enum power_verb verb)
{
	return verb == POWER_HOLD || verb == POWER_UNHOLD;
}

static bool is_held(const struct op *op)
{
	return op->vm.hold && (op->verb == POWER_ON || op->verb == POWER_RESET);
}

static int power_check(struct op *op, struct fault *fault)
{
	if (op->vm.fence[0] && op->starts) {
		if (strcmp(op->vm.fence, op->session) == 0) {
			return fault_set(fault, FAULT_VM_FENCED,
					 "The disks of VM %s are attached in this session",
					 op->vm.name);
		}
		return fault_set(fault, FAULT_VM_FENCED,
				 "The disks of VM %s are attached in session %s", op->vm.name,
				 op->vm.fence);
	}
	return 0;
}

static int power_intent(struct op *op, const char *by, struct fault *fault)
{
	struct cloud_local *c = op->c;
	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
	int r = store_tx_begin(&tx, c->store, fault);

	if (r == 0) {
		r = c->port.event(
			c->port.user, "vm.power", op->session[0] ? op->session : NULL, &op->vm,
			json_pack("{s:s,s:s}", "verb", power_verb_name(op->verb), "by", by), fault);
	}
	if (r == 0 && verb_is_record(op->verb)) {
		r = store_vm_set_hold(c->store, op->vm.id, op->verb == POWER_HOLD, fault);
	}
	if (r == 0) {
		r = store_tx_commit(&tx, fault);
	}
	if (r == 0) {
		c->port.committed(c->port.user);
	}
	return r;
}

static int hold_done(const struct op *op)
{
	struct cloud_local *c = op->c;
	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
	int r = store_tx_begin(&tx, c->store, NULL);

	if (r == 0) {
		r = store_vm_set_hold(c->store, op->vm.id, false, NULL);
	}
	return r < 0 ? r : store_tx_commit(&tx, NULL);
}

static void power_answer(const json_t *result, const struct fault *fault, void *user)
{
	_cleanup_(op_freep) struct op *op = user;
	enum vm_state state = state_of(result);

	if (fault) {
		if (fault->code == FAULT_VM_GONE || fault->code == FAULT_NOT_FOUND) {
			take_state(op->c, &op->vm, VM_GONE, true);
		}
		op->fn(VM_UNKNOWN, fault, op->user);
		return;
	}
	take_state(op->c, &op->vm, state, false);
	/* Once: held it was. Where that cannot be recorded it is held again, which is no harm. */
	if (is_held(op) && state == VM_PAUSED) {
		(void)hold_done(op);
	}
	op->fn(state, NULL, op->user);
}

static void local_power(struct cloud *cloud, const char *vm, enum power_verb verb,
			const char *session, const char *by, cloud_state_fn fn, void *user)
{
	struct cloud_local *c = to_local(cloud);
	struct op *op = op_new(c, fn, user);
	int r;

	if (!op) {
		fn(VM_UNKNOWN, &no_memory, user);
		return;
	}
	op->verb = verb;
	op->starts = verb_starts(verb);
	snprintf(op->session, sizeof(op->session), "%s", session);
	r = find_vm(c, vm, &op->vm, &op->fault);
	if (r == 0) {
		r = power_check(op, &op->fault);
	}
	if (r == 0) {
		r = power_intent(op, by, &op->fault);
	}
	if (r < 0 || verb_is_record(verb)) {
		op_answer(op);
		return;
	}
	c->port.host_call(c->port.user, "domain.power",
			  json_pack("{s:s,s:s,s:s,s:b}", "domain", op->vm.domain, "vm", op->vm.id,
				    "verb", power_verb_name(verb), "hold", is_held(op)),
			  POWER_TIMEOUT, power_answer, op);
}

/* Sets or lifts a fence; `event` NULL: without telling. */
static int fence_record(struct cloud_local *c, const struct vm_row *vm, const char *fence,
			const char *session, const char *event, struct fault *fault)
{
	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
	int r = store_tx_begin(&tx, c->store, fault);

	if (r == 0) {
		r = store_vm_set_fence(c->store, vm->id, fence, fault);
	}
	if (r == 0 && event) {
		r = c->port.event(c->port.user, event, session, vm, NULL, fault);
	}
	if (r == 0) {
		r = store_tx_commit(&tx, fault);
	}
	if (r == 0) {
		c->port.committed(c->port.user);
	}
	return r;
}

static bool being_started(struct cloud_local *c, const char *vm)
{
	struct op *op;

	list_for_each (op, &c->ops, link) {
		if (op->starts && !op->deferred && strcmp(op->vm.id, vm) == 0) {
			return true;
		}
	}
	return false;
}

/* The fence stands in the store; now the VM's state counts. */
static void fence_answer(const json_t *result, const struct fault *fault, void *user)
{
	_cleanup_(op_freep) struct op *op = user;
	enum vm_state state = state_of(result);
	struct fault refused = { 0 };

	if (fault) {
		refused = *fault;
	} else if (state != VM_OFF) {
		fault_set(&refused, FAULT_VM_RUNNING, "VM %s is not off", op->vm.name);
		take_state(op->c, &op->vm, state, true);
	} else {
		take_state(op->c, &op->vm, state, true);
		if (op->was_fenced || fence_record(op->c, &op->vm, op->session, op->session,
						   "vm.fenced", &refused) == 0) {
			op->fn(state, NULL, op->user);
			return;
		}
	}
	if (!op->was_fenced) {
		/* Should even this fail, reconcile lifts it: there is no attachment that needs it.
		 */
		(void)fence_record(op->c, &op->vm, "", op->session, NULL, NULL);
	}
	op->fn(state, &refused, op->user);
}

static void local_fence(struct cloud *cloud, const char *vm, const char *session, cloud_state_fn fn,
			void *user)
{
	struct cloud_local *c = to_local(cloud);
	struct op *op = op_new(c, fn, user);
	int r;

	if (!op) {
		fn(VM_UNKNOWN, &no_memory, user);
		return;
	}
	snprintf(op->session, sizeof(op->session), "%s", session);
	r = find_vm(c, vm, &op->vm, &op->fault);
	if (r == 0 && being_started(c, vm)) {
		r = fault_set(&op->fault, FAULT_VM_RUNNING, "VM %s is being started", op->vm.name);
	}
	if (r == 0) {
		op->was_fenced = op->vm.fence[0] != '\0';
		r = fence_record(c, &op->vm, session, session, NULL, &op->fault);
	}
	if (r == -EEXIST) {
		fault_set(&op->fault, FAULT_VM_FENCED,
			  "The disks of VM %s are attached in session %s", op->vm.name,
			  op->vm.fence);
	}
	if (r < 0) {
		op_answer(op);
		return;
	}
	c->port.host_call(c->port.user, "domain.get", json_pack("{s:s}", "domain", op->vm.domain),
			  ASK_TIMEOUT, fence_answer, op);
}

static int local_unfence(struct cloud *cloud, const char *vm, const char *session,
			 struct fault *fault)
{
	struct cloud_local *c = to_local(cloud);
	struct vm_row row;
	int r = store_vm_get(c->store, vm, &row, fault);

	if (r == -ENOENT) {
		return 0; /* released from the inventory: its fence went with it */
	}
	if (r < 0 || strcmp(row.fence, session) != 0) {
		return r;
	}
	return fence_record(c, &row, "", session, "vm.unfenced", fault);
}

static bool under_way(struct cloud_local *c, const char *vm)
{
	struct op *op;

	list_for_each (op, &c->ops, link) {
		if (!op->deferred && strcmp(op->vm.id, vm) == 0) {
			return true;
		}
	}
	return false;
}

static void local_observed(struct cloud *cloud, const char *domain, enum vm_state state)
{
	struct cloud_local *c = to_local(cloud);
	struct vm_row vm;

	if (store_vm_by_domain(c->store, domain, &vm, NULL) == 0 && vm.state != state) {
		take_state(c, &vm, state, !under_way(c, vm.id));
	}
}

/* VMs of the inventory that the hypervisor no longer has. */
static void find_gone(struct cloud *cloud, const json_t *domains)
{
	struct cloud_local *c = to_local(cloud);
	char after[ID_MAX] = "";

	for (;;) {
		_cleanup_free_ struct vm_row *vms = NULL;
		size_t n = 0;

		if (store_vm_list(c->store, NULL, STORE_PAGE_MAX, after, &vms, &n, NULL) < 0 ||
		    n == 0) {
			return;
		}
		strcpy(after, vms[n - 1].id);
		for (size_t i = 0; i < n; i++) {
			const json_t *domain;
			bool there = false;
			size_t k;

			json_array_foreach(domains, k, domain)
			{
				const char *uuid =
					json_string_value(json_object_get(domain, "uuid"));

				there = there || (uuid && strcmp(uuid, vms[i].domain) == 0);
			}
			if (!there) {
				local_observed(cloud, vms[i].domain, VM_GONE);
			}
		}
	}
}

static void refresh_answer(const json_t *result, const struct fault *fault, void *user)
{
	_cleanup_(op_freep) struct op *op = user;
	const json_t *domains = json_object_get(result, "domains"), *domain;
	struct cloud *cloud = &op->c->base;
	size_t i;

	json_array_foreach(domains, i, domain)
	{
		const char *uuid = json_string_value(json_object_get(domain, "uuid"));

		if (uuid) {
			local_observed(cloud, uuid, state_of(domain));
		}
	}
	if (json_is_array(domains)) {
		find_gone(cloud, domains);
	}
	if (op->json_fn) {
		op->json_fn(result, fault, op->user);
	}
}

static void local_refresh(struct cloud *cloud, cloud_json_fn fn, void *user)
{
	struct cloud_local *c = to_local(cloud);
	struct op *op = op_new(c, NULL, user);

	if (!op) {
		if (fn) {
			fn(NULL, &no_memory, user);
		}
		return;
	}
	op->json_fn = fn;
	local_domains(cloud, refresh_answer, op);
}

static struct cloud *local_free(struct cloud *cloud)
{
	struct cloud_local *c = to_local(cloud);
	struct op *op, *next;

	list_for_each_safe (op, next, &c->ops, link) {
		op_free(op);
	}
	sd_event_unref(c->event);
	free(c);
	return NULL;
}

static const struct cloud_ops local_ops = {
	.name = "local",
	.domains = local_domains,
	.domain = local_domain,
	.power = local_power,
	.fence = local_fence,
	.unfence = local_unfence,
	.observed = local_observed,
	.refresh = local_refresh,
	.free = local_free,
};

int cloud_local_new(sd_event *event, struct store *store, const struct cloud_port *port,
		    struct cloud **ret)
{
	struct cloud_local *c = calloc(1, sizeof(*c));

	if (!c) {
		return -ENOMEM;
	}
	c->base.ops = &local_ops;
	c->event = sd_event_ref(event);
	c->store = store;
	c->port = *port;
	list_init(&c->ops);
	*ret = &c->base;
	return 0;
}
