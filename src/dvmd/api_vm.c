/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/vms and /v1/domains */
#include "api_handlers.h"
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

	vm_adopt(c->d, &c->who, body->domain, body->name, body->project, api_on_made, c);
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

void api_domain_list(struct api_call *c)
{
	vm_candidates(c->d, &c->who, api_on_ok, c);
}
