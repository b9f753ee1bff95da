/* SPDX-License-Identifier: Apache-2.0 */
/* What can be asked about VMs and done to them. */
#include "vm_ops.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "access.h"
#include "clock.h"
#include "events.h"
#include "failpoint.h"
#include "host_link.h"
#include "later.h"
#include "log.h"
#include "parse.h"
#include "view.h"

#define CONSOLE_TIMEOUT (20 * USEC_PER_SEC)

/* A request that waits for the host. */
struct vm_request {
	struct dvmd *d;
	struct principal who;
	struct vm_row vm;
	enum power_verb verb;
	bool no_history;     /* adopt, set */
	char *domain, *name; /* adopt: as asked for; name NULL: made out of the domain's */
	struct project_row project;
	json_t *shown; /* get: what is known so far */
	ops_reply_fn fn;
	void *user;
};

static void request_free(struct vm_request *q)
{
	json_decref(q->shown);
	free(q->domain);
	free(q->name);
	free(q);
}
DEFINE_CLEANUP(struct vm_request *, request_free);

/* On failure the answer is under way and NULL is returned. */
static struct vm_request *request_new(struct dvmd *d, const struct principal *p, ops_reply_fn fn,
				      void *user)
{
	struct vm_request *q = calloc(1, sizeof(*q));
	struct fault fault;

	if (!q) {
		fault_set(&fault, FAULT_INTERNAL, "Out of memory");
		later_fault(d->event, &fault, fn, user);
		return NULL;
	}
	q->d = d;
	q->who = *p;
	q->fn = fn;
	q->user = user;
	return q;
}

/* The session that has the VM; whoever sees the VM sees the sessions of its project. */
static json_t *view(struct dvmd *d, const struct vm_row *vm)
{
	char session[ID_MAX] = "";

	if (store_session_of_vm(d->store, vm->id, session, NULL) < 0) {
		session[0] = '\0';
	}
	return view_vm(d, vm, session);
}

int vm_list(struct dvmd *d, const struct principal *p, const char *project, unsigned limit,
	    const char *after, json_t **ret, struct fault *fault)
{
	_cleanup_free_ struct vm_row *rows = NULL;
	_cleanup_free_ char *projects = NULL;
	json_t *items;
	size_t n = 0;
	int r;

	r = access_projects(d, p, project, "vm.list", &projects, fault);
	if (r < 0) {
		return r;
	}
	limit = limit && limit < STORE_PAGE_MAX ? limit : STORE_PAGE_MAX;
	r = store_vm_list(d->store, projects, limit, after, &rows, &n, fault);
	if (r < 0) {
		return r;
	}
	items = json_array();
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(items, view(d, &rows[i]));
	}
	*ret = view_page(items, n == limit ? rows[n - 1].id : NULL);
	return *ret ? 0 : fault_set(fault, FAULT_INTERNAL, "Out of memory");
}

/* Members of `from` that the API shows; of a list, of each item. */
static json_t *only(const json_t *from, const char *const *members, size_t n)
{
	json_t *out = json_object();

	for (size_t i = 0; i < n; i++) {
		json_t *value = json_object_get(from, members[i]);

		if (value) {
			json_object_set(out, members[i], value);
		}
	}
	return out;
}

static json_t *only_each(const json_t *list, const char *const *members, size_t n)
{
	json_t *out = json_array(), *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		json_array_append_new(out, only(item, members, n));
	}
	return out;
}

static json_t *hardware(const json_t *domain)
{
	static const char *const disk[] = { "dev", "size_bytes", "readonly", "kind" };
	static const char *const console[] = { "type", "usable" };
	json_t *graphics = json_object_get(domain, "graphics");

	return json_pack(
		"{s:I,s:I,s:o,s:o,s:o}", "memory_mib",
		json_integer_value(json_object_get(domain, "memory_mib")), "vcpus",
		json_integer_value(json_object_get(domain, "vcpus")), "disks",
		only_each(json_object_get(domain, "disks"), disk, ARRAY_SIZE(disk)), "consoles",
		only_each(json_object_get(domain, "consoles"), console, ARRAY_SIZE(console)),
		"graphics", graphics ? json_incref(graphics) : json_array());
}

static void get_console_answer(const json_t *result, const struct fault *fault, void *user)
{
	_cleanup_(request_freep) struct vm_request *q = user;
	json_t *history = json_object_get(result, "history");

	json_object_set_new(q->shown, "history", history ? json_incref(history) : json_null());
	now_result(TAKE_PTR(q->shown), q->fn, q->user);
}

static void get_answer(const json_t *result, const struct fault *fault, void *user)
{
	_cleanup_(request_freep) struct vm_request *q = user;
	struct cloud *cloud = q->d->cloud;
	struct host_link *host;
	struct vm_row now;
	json_t *params;

	if (result) {
		const char *state = json_string_value(json_object_get(result, "state"));

		cloud->ops->observed(cloud, q->vm.domain,
				     state ? vm_state_parse(state) : VM_UNKNOWN);
	} else if (fault->code == FAULT_VM_GONE) {
		cloud->ops->observed(cloud, q->vm.domain, VM_GONE);
	}
	if (store_vm_get(q->d->store, q->vm.id, &now, NULL) < 0) {
		now = q->vm;
	}
	q->shown = view(q->d, &now);
	json_object_set_new(q->shown, "hardware", result ? hardware(result) : json_null());
	host = q->d->host;
	params = json_pack("{s:s}", "vm", q->vm.id);
	host_link_call(host, "console.get", params, CONSOLE_TIMEOUT, get_console_answer,
		       TAKE_PTR(q));
}

void vm_get(struct dvmd *d, const struct principal *p, const char *ref, ops_reply_fn fn, void *user)
{
	struct fault fault;
	struct vm_row vm;
	struct vm_request *q;

	if (access_vm(d, p, ref, RIGHT_VIEW, "vm.get", &vm, &fault) < 0) {
		later_fault(d->event, &fault, fn, user);
		return;
	}
	q = request_new(d, p, fn, user);
	if (q) {
		q->vm = vm;
		d->cloud->ops->domain(d->cloud, vm.domain, get_answer, q);
	}
}

static void candidates_answer(const json_t *result, const struct fault *fault, void *user)
{
	_cleanup_(request_freep) struct vm_request *q = user;
	json_t *items, *domain;
	size_t i;

	if (fault) {
		q->fn(NULL, fault, q->user);
		return;
	}
	items = json_array();
	json_array_foreach(json_object_get(result, "domains"), i, domain)
	{
		const char *uuid = json_string_value(json_object_get(domain, "uuid"));
		const char *name = json_string_value(json_object_get(domain, "name"));
		const char *state = json_string_value(json_object_get(domain, "state"));
		struct vm_row vm;

		if (uuid && name && state &&
		    !json_is_string(json_object_get(domain, "dvm_session")) &&
		    store_vm_by_domain(q->d->store, uuid, &vm, NULL) == -ENOENT) {
			json_array_append_new(items,
					      json_pack("{s:s,s:s}", "domain", name, "state",
							vm_state_name(vm_state_parse(state))));
		}
	}
	now_result(json_pack("{s:o}", "items", items), q->fn, q->user);
}

void vm_candidates(struct dvmd *d, const struct principal *p, ops_reply_fn fn, void *user)
{
	struct fault fault;
	struct vm_request *q;

	if (access_check_admin(d, p, "vm.candidates", &fault) < 0) {
		later_fault(d->event, &fault, fn, user);
		return;
	}
	q = request_new(d, p, fn, user);
	if (q) {
		d->cloud->ops->domains(d->cloud, candidates_answer, q);
	}
}

/* A name out of a domain's free text; "" when nothing is left of it. */
static void make_name(const char *text, char out[NAME_MAX_LEN])
{
	size_t n = 0;

	for (; *text && n < NAME_MAX_LEN - 1; text++) {
		char c = (char)tolower((unsigned char)*text);
		bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

		if (plain || (n > 0 && strchr("._-", c))) {
			out[n++] = c;
		} else if (n > 0 && out[n - 1] != '-') {
			out[n++] = '-';
		}
	}
	out[n] = '\0';
}

/* The domain with that UUID or name, unless it is a D-VM. */
static const json_t *find_domain(const json_t *domains, const char *ref)
{
	const json_t *domain;
	size_t i;

	json_array_foreach(domains, i, domain)
	{
		const char *uuid = json_string_value(json_object_get(domain, "uuid"));
		const char *name = json_string_value(json_object_get(domain, "name"));

		if (uuid && name && (strcmp(uuid, ref) == 0 || strcmp(name, ref) == 0) &&
		    !json_is_string(json_object_get(domain, "dvm_session"))) {
			return domain;
		}
	}
	return NULL;
}

static int fill_vm(struct vm_request *q, const json_t *domain, struct fault *fault)
{
	const char *state = json_string_value(json_object_get(domain, "state"));
	_cleanup_free_ char *id = random_id("v", 12);
	struct vm_row *vm = &q->vm;

	if (!id) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory");
	}
	if (q->name) {
		strcpy(vm->name, q->name);
	} else {
		make_name(json_string_value(json_object_get(domain, "name")), vm->name);
		if (!name_valid(vm->name)) {
			return fault_set(fault, FAULT_BAD_VALUE,
					 "No name can be made out of the domain's: give one");
		}
	}
	strcpy(vm->id, id);
	strcpy(vm->project, q->project.id);
	strcpy(vm->cloud, "local");
	snprintf(vm->domain, sizeof(vm->domain), "%s",
		 json_string_value(json_object_get(domain, "uuid")));
	vm->state = state ? vm_state_parse(state) : VM_UNKNOWN;
	vm->state_at = vm->created = clock_realtime();
	strcpy(vm->adopted_by, q->who.user);
	vm->no_history = q->no_history;
	return 0;
}

static int record_adoption(struct vm_request *q, struct fault *fault)
{
	struct dvmd *d = q->d;
	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
	int r = store_tx_begin(&tx, d->store, fault);

	if (r == 0) {
		r = store_vm_add(d->store, &q->vm, fault);
	}
	if (r == -EEXIST) {
		return fault_set(fault, FAULT_CONFLICT, "The project has a VM \"%s\" already",
				 q->vm.name);
	}
	if (r == 0) {
		r = events_add(d->events, "vm.adopted", NULL, q->vm.id, q->vm.project, NULL, fault);
	}
	if (r == 0) {
		r = audit_add(d->events, &q->who, q->vm.project, NULL, "vm.adopt", q->vm.id,
			      q->vm.name, FAULT_NONE, fault);
	}
	if (r == 0) {
		r = store_tx_commit(&tx, fault);
	}
	if (r == 0) {
		log_info("%s adopted as %s", q->vm.id, q->vm.name);
		events_committed(d->events);
	}
	return r;
}

/* The VM is in the inventory whether its console could be had now or not: reconcile tries again. */
static void adopted_answer(const json_t *result, const struct fault *fault, void *user)
{
	_cleanup_(request_freep) struct vm_request *q = user;

	if (fault) {
		log_warn("the console of %s is not kept yet: %s", q->vm.id,
			 fault_code_name(fault->code));
	}
	now_result(view(q->d, &q->vm), q->fn, q->user);
}

static void ensure_console(struct vm_request *q)
{
	host_link_call(q->d->host, "console.ensure",
		       json_pack("{s:s,s:s,s:b}", "vm", q->vm.id, "domain", q->vm.domain, "keep",
				 !q->vm.no_history),
		       CONSOLE_TIMEOUT, adopted_answer, q);
}

static int adopt(struct vm_request *q, const json_t *domains, struct fault *fault)
{
	const json_t *domain = find_domain(domains, q->domain);
	struct vm_row there;
	int r;

	if (!domain) {
		return fault_set(fault, FAULT_NOT_FOUND, "There is no domain \"%.64s\"", q->domain);
	}
	r = store_vm_by_domain(q->d->store, json_string_value(json_object_get(domain, "uuid")),
			       &there, fault);
	if (r == 0) {
		if (strcmp(there.project, q->project.id) != 0 ||
		    (q->name && strcmp(there.name, q->name) != 0)) {
			return fault_set(fault, FAULT_CONFLICT,
					 "The domain is in the inventory already, as VM %s",
					 there.id);
		}
		q->vm = there;
		return 0;
	}
	if (r != -ENOENT) {
		return r;
	}
	r = fill_vm(q, domain, fault);
	return r < 0 ? r : record_adoption(q, fault);
}

static void adopt_answer(const json_t *result, const struct fault *away, void *user)
{
	_cleanup_(request_freep) struct vm_request *q = user;
	struct fault fault;

	if (away) {
		q->fn(NULL, away, q->user);
		return;
	}
	if (adopt(q, json_object_get(result, "domains"), &fault) < 0) {
		q->fn(NULL, &fault, q->user);
		return;
	}
	ensure_console(TAKE_PTR(q));
}

void vm_adopt(struct dvmd *d, const struct principal *p, const char *domain, const char *name,
	      const char *project, bool no_history, ops_reply_fn fn, void *user)
{
	struct project_row row;
	struct fault fault;
	struct vm_request *q;
	int r = access_check_admin(d, p, "vm.adopt", &fault);

	if (r == 0) {
		r = access_project(d, p, project ?: "default", 0, "vm.adopt", &row, &fault);
	}
	if (r == 0 && name && !name_valid(name)) {
		r = fault_set(&fault, FAULT_BAD_VALUE, "name is not a valid name");
	}
	if (r < 0) {
		later_fault(d->event, &fault, fn, user);
		return;
	}
	q = request_new(d, p, fn, user);
	if (!q) {
		return;
	}
	q->project = row;
	q->no_history = no_history;
	q->domain = strdup(domain);
	q->name = name ? strdup(name) : NULL;
	if (!q->domain || (name && !q->name)) {
		request_free(q);
		fault_set(&fault, FAULT_INTERNAL, "Out of memory");
		later_fault(d->event, &fault, fn, user);
		return;
	}
	d->cloud->ops->domains(d->cloud, adopt_answer, q);
}

/* What is kept no longer is gone with the answer; where the host is away reconcile sees to it. */
static void set_answer(const json_t *result, const struct fault *fault, void *user)
{
	_cleanup_(request_freep) struct vm_request *q = user;

	if (fault && q->vm.no_history) {
		log_warn("the console of %s may still be kept: %s, reconcile tries again", q->vm.id,
			 fault_code_name(fault->code));
		q->fn(NULL, fault, q->user);
		return;
	}
	adopted_answer(result, fault, TAKE_PTR(q));
}

static int set(struct dvmd *d, const struct principal *p, struct vm_row *vm, bool no_history,
	       struct fault *fault)
{
	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
	int r = store_tx_begin(&tx, d->store, fault);

	if (r == 0) {
		r = store_vm_set_no_history(d->store, vm->id, no_history, fault);
	}
	if (r == -ENOENT) {
		return fault_set(fault, FAULT_NOT_FOUND, "There is no such VM");
	}
	if (r == 0) {
		r = audit_add(d->events, p, vm->project, NULL, "vm.set", vm->id,
			      no_history ? "console history: none" : "console history: kept",
			      FAULT_NONE, fault);
	}
	if (r == 0) {
		r = store_tx_commit(&tx, fault);
	}
	if (r == 0) {
		vm->no_history = no_history;
	}
	return r;
}

void vm_set(struct dvmd *d, const struct principal *p, const char *ref, bool no_history,
	    ops_reply_fn fn, void *user)
{
	struct fault fault;
	struct vm_row vm;
	struct vm_request *q;
	int r = access_vm(d, p, ref, RIGHT_ADMIN, "vm.set", &vm, &fault);

	if (r == 0) {
		r = set(d, p, &vm, no_history, &fault);
	}
	if (r < 0) {
		later_fault(d->event, &fault, fn, user);
		return;
	}
	q = request_new(d, p, fn, user);
	if (q) {
		q->vm = vm;
		host_link_call(d->host, "console.ensure",
			       json_pack("{s:s,s:s,s:b}", "vm", vm.id, "domain", vm.domain, "keep",
					 !vm.no_history),
			       CONSOLE_TIMEOUT, set_answer, q);
	}
}

/* It is out of the inventory; a relay that is still there falls to reconcile. */
static void release_answer(const json_t *result, const struct fault *fault, void *user)
{
	_cleanup_(request_freep) struct vm_request *q = user;

	if (fault) {
		log_warn("the console of %s is still kept: %s, reconcile drops it", q->vm.id,
			 fault_code_name(fault->code));
	}
	now_result(json_pack("{s:s}", "vm", q->vm.id), q->fn, q->user);
}

static int release(struct dvmd *d, const struct principal *p, const struct vm_row *vm,
		   struct fault *fault)
{
	_cleanup_(store_tx_end) struct store_tx tx = { 0 };
	char session[ID_MAX];
	int r = store_tx_begin(&tx, d->store, fault);

	if (r < 0) {
		return r;
	}
	r = store_session_of_vm(d->store, vm->id, session, fault);
	if (r == 0) {
		return fault_set(fault, FAULT_VM_IN_SESSION, "VM %s is in session %s", vm->name,
				 session);
	}
	if (r == -ENOENT) {
		r = store_vm_remove(d->store, vm->id, fault);
	}
	if (r == 0) {
		r = events_add(d->events, "vm.released", NULL, vm->id, vm->project, NULL, fault);
	}
	if (r == 0) {
		r = audit_add(d->events, p, vm->project, NULL, "vm.release", vm->id, vm->name,
			      FAULT_NONE, fault);
	}
	if (r == 0) {
		r = store_tx_commit(&tx, fault);
	}
	if (r == 0) {
		log_info("%s released", vm->id);
		events_committed(d->events);
	}
	return r;
}

void vm_release(struct dvmd *d, const struct principal *p, const char *ref, ops_reply_fn fn,
		void *user)
{
	struct fault fault;
	struct vm_row vm;
	struct vm_request *q;
	int r = access_vm(d, p, ref, RIGHT_ADMIN, "vm.release", &vm, &fault);

	if (r == 0) {
		r = release(d, p, &vm, &fault);
	}
	if (r < 0) {
		later_fault(d->event, &fault, fn, user);
		return;
	}
	q = request_new(d, p, fn, user);
	if (q) {
		q->vm = vm;
		host_link_call(d->host, "console.drop", json_pack("{s:s}", "vm", vm.id),
			       CONSOLE_TIMEOUT, release_answer, q);
	}
}

static void power_answer(enum vm_state state, const struct fault *fault, void *user)
{
	_cleanup_(request_freep) struct vm_request *q = user;
	const char *verb = power_verb_name(q->verb);
	struct fault unrecorded = { 0 };

	metrics_count(q->d->metrics, METRIC_POWER, verb);
	(void)failpoint("vm.power.done");
	if (audit_add(q->d->events, &q->who, q->vm.project, NULL, "vm.power", q->vm.id, verb,
		      fault ? fault->code : FAULT_NONE, &unrecorded) < 0) {
		log_warn("power %s of %s is not in the audit: %s", verb, q->vm.id,
			 unrecorded.message);
	}
	if (fault) {
		q->fn(NULL, fault, q->user);
		return;
	}
	now_result(json_pack("{s:s,s:s,s:s}", "vm", q->vm.id, "action", verb, "state",
			     vm_state_name(state)),
		   q->fn, q->user);
}

void vm_power(struct dvmd *d, const struct principal *p, const char *ref, enum power_verb verb,
	      ops_reply_fn fn, void *user)
{
	struct fault fault;
	struct vm_row vm;
	struct vm_request *q;

	if (access_vm(d, p, ref, RIGHT_POWER, "vm.power", &vm, &fault) < 0) {
		later_fault(d->event, &fault, fn, user);
		return;
	}
	q = request_new(d, p, fn, user);
	if (q) {
		q->vm = vm;
		q->verb = verb;
		d->cloud->ops->power(d->cloud, vm.id, verb, p->session, p->user, power_answer, q);
	}
}
