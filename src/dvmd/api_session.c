/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/sessions */
#include <string.h>

#include "api_handlers.h"
#include "session_ops.h"

void api_session_list(struct api_call *c)
{
	const struct api_query *q = &c->query;
	struct fault fault;
	json_t *answer = NULL;
	int r = session_list(c->d, &c->who, q->project, !q->all, (unsigned)q->limit, q->after,
			     &answer, &fault);

	api_answer_take(c, 200, r, answer, &fault);
}

void api_session_get(struct api_call *c)
{
	struct fault fault;
	json_t *answer = NULL;
	int r = session_get(c->d, &c->who, c->params[0], &answer, &fault);

	api_answer_take(c, 200, r, answer, &fault);
}

void api_session_start(struct api_call *c)
{
	const struct body_session_start *body = &c->body.session_start;
	struct session_spec spec = {
		.n_targets = body->targets.n,
		.image = body->image,
		.n_stacks = body->stacks.n,
		.keys = { body->ssh_key },
		.n_keys = body->ssh_key ? 1 : 0,
		.placement = api_placements[body->placement],
		.lease = (usec_t)body->lease_s * USEC_PER_SEC,
	};
	struct fault fault;
	json_t *answer = NULL;
	int r;

	memcpy(spec.targets, body->targets.items, body->targets.n * sizeof(spec.targets[0]));
	memcpy(spec.stacks, body->stacks.items, body->stacks.n * sizeof(spec.stacks[0]));
	for (size_t i = 0; api_attach_kinds[i]; i++) {
		enum attachment_kind kind;

		if (body->attach & 1u << i &&
		    attachment_kind_parse(api_attach_kinds[i], &kind) == 0) {
			spec.attach[spec.n_attach++] = (struct attach_spec){
				.kind = kind,
				.mode = kind == ATTACHMENT_DISK ? "rw" : NULL,
			};
		}
	}
	r = session_create(c->d, &c->who, &spec, &answer, &fault);
	api_answer_take(c, 201, r, answer, &fault);
}

void api_session_made_again(struct api_call *c, const char *object)
{
	struct fault fault;
	json_t *answer = NULL;
	int r = session_get(c->d, &c->who, object, &answer, &fault);

	api_answer_take(c, 201, r, answer, &fault);
}

void api_session_end(struct api_call *c)
{
	struct fault fault;
	json_t *answer = NULL;
	int r = session_end(c->d, &c->who, c->params[0], &answer, &fault);

	api_answer_take(c, 202, r, answer, &fault);
}

void api_session_renew(struct api_call *c)
{
	usec_t lease = (usec_t)c->body.session_renew.lease_s * USEC_PER_SEC;
	struct fault fault;
	json_t *answer = NULL;
	int r = session_renew(c->d, &c->who, c->params[0], lease, &answer, &fault);

	api_answer_take(c, 200, r, answer, &fault);
}

void api_session_timeline(struct api_call *c)
{
	uint64_t after = c->query.after_seq > 0 ? (uint64_t)c->query.after_seq : 0;
	struct fault fault;
	json_t *answer = NULL;
	int r = session_timeline(c->d, &c->who, c->params[0], (unsigned)c->query.limit, after,
				 &answer, &fault);

	api_answer_take(c, 200, r, answer, &fault);
}

static void on_stack_added(const json_t *result, const struct fault *fault, void *user)
{
	api_answer(user, 200, result, fault);
}

void api_stack_add(struct api_call *c)
{
	session_stack_add(c->d, &c->who, c->params[0], c->body.stack_add.name, on_stack_added, c);
}
