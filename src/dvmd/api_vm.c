/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/vms and /v1/domains */
#include <errno.h>

#include "api_handlers.h"
#include "cloud.h"
#include "store_vm.h"
#include "vm_ops.h"

void api_vm_list(struct api_call *c)
{
	struct fault fault;
	json_t *answer = NULL;
	int r = vm_list(c->d, &c->who, c->query.project, (unsigned)c->query.limit, c->query.after,
			&answer, &fault);

	api_answer_take(c, 200, r, answer, &fault);
}

void api_vm_get(struct api_call *c)
{
	vm_get(c->d, &c->who, c->params[0], api_on_ok, c);
}

void api_vm_adopt(struct api_call *c)
{
	const struct body_vm_adopt *body = &c->body.vm_adopt;

	vm_adopt(c->d, &c->who, body->domain, body->name, body->project, body->console_history == 1,
		 api_on_made, c);
}

void api_vm_set(struct api_call *c)
{
	vm_set(c->d, &c->who, c->params[0], c->body.vm_set.console_history == 1, api_on_ok, c);
}

void api_vm_forget(struct api_call *c)
{
	vm_release(c->d, &c->who, c->params[0], api_on_none, c);
}

void api_vm_act(struct api_call *c)
{
	vm_power(c->d, &c->who, c->params[0], (enum power_verb)c->body.vm_action.action, api_on_ok,
		 c);
}

void api_vm_made_again(struct api_call *c, const char *object)
{
	vm_get(c->d, &c->who, object, api_on_made, c);
}

void api_vm_acted_again(struct api_call *c, const char *object)
{
	const char *verb = power_verb_name((enum power_verb)c->body.vm_action.action);
	struct vm_row vm;
	struct fault fault;
	int r = store_vm_get(c->d->store, object, &vm, &fault);

	if (r == -ENOENT) {
		r = fault_set(&fault, FAULT_VM_GONE, "The VM no longer exists");
	}
	api_answer_take(c, 200, r,
			r < 0 ? NULL
			      : json_pack("{s:s,s:s,s:s}", "vm", vm.id, "action", verb, "state",
					  vm_state_name(vm.state)),
			&fault);
}

bool api_vm_acts_once(const struct api_call *c)
{
	enum power_verb verb = (enum power_verb)c->body.vm_action.action;

	return verb == POWER_RESET || verb == POWER_REBOOT || verb == POWER_NMI;
}

void api_domain_list(struct api_call *c)
{
	vm_candidates(c->d, &c->who, api_on_ok, c);
}
