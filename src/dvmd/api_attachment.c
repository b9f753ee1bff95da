/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/sessions/{session}/attachments */
#include <string.h>

#include "api_handlers.h"
#include "cleanup.h"
#include "session_ops.h"

void api_attachment_list(struct api_call *c)
{
	_cleanup_(json_decrefp) json_t *session = NULL;
	struct fault fault;

	if (session_get(c->d, &c->who, c->params[0], &session, &fault) < 0) {
		api_fault(c, &fault);
		return;
	}
	api_reply_take(c, 200,
		       json_pack("{s:O}", "items", json_object_get(session, "attachments")));
}

void api_attachment_get(struct api_call *c)
{
	_cleanup_(json_decrefp) json_t *session = NULL;
	json_t *attachment;
	struct fault fault;
	size_t i;

	if (session_get(c->d, &c->who, c->params[0], &session, &fault) < 0) {
		api_fault(c, &fault);
		return;
	}
	json_array_foreach(json_object_get(session, "attachments"), i, attachment)
	{
		if (strcmp(json_string_value(json_object_get(attachment, "id")), c->params[1]) ==
		    0) {
			api_reply(c, 200, attachment);
			return;
		}
	}
	fault_set(&fault, FAULT_NOT_FOUND, "The session has no such attachment");
	api_fault(c, &fault);
}

/* `done`: the state that was asked for; in any other it is still under way. */
static void answer(struct api_call *c, const json_t *result, const struct fault *fault,
		   const char *done, unsigned status_done)
{
	const char *state = json_string_value(json_object_get(result, "state"));

	api_answer(c, state && strcmp(state, done) == 0 ? status_done : 202, result, fault);
}

static void on_attached(const json_t *result, const struct fault *fault, void *user)
{
	answer(user, result, fault, "attached", 201);
}

static void on_detached(const json_t *result, const struct fault *fault, void *user)
{
	answer(user, result, fault, "gone", 200);
}

void api_attach(struct api_call *c)
{
	const struct body_attach *body = &c->body.attach;
	struct attach_spec spec = {
		.target = body->vm,
		.mode = api_disk_modes[body->mode],
	};
	struct fault fault;

	if (attachment_kind_parse(api_later_kinds[body->kind], &spec.kind) < 0) {
		fault_set(&fault, FAULT_INTERNAL, "A kind of attachment has no name");
		api_fault(c, &fault);
		return;
	}

	session_attach(c->d, &c->who, c->params[0], &spec, on_attached, c);
}

void api_detach(struct api_call *c)
{
	session_detach(c->d, &c->who, c->params[0], c->params[1], on_detached, c);
}
