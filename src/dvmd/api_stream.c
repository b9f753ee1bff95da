/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/vms/{vm}/streams and /v1/sessions/{session}/streams */
#include "api_handlers.h"
#include "stream_ops.h"

static void open_stream(struct api_call *c, const char *session, const char *vm)
{
	const struct body_stream_open *body = &c->body.stream_open;
	const struct stream_spec spec = {
		.session = session,
		.vm = vm,
		.kind = api_stream_kinds[body->kind],
		.mode = body->kind == API_STREAM_SSH ? "rw" : api_stream_modes[body->mode],
		.raw = body->raw,
	};

	stream_open(c->d, &c->who, &spec, api_on_made, c);
}

void api_vm_stream(struct api_call *c)
{
	open_stream(c, NULL, c->params[0]);
}

void api_session_stream(struct api_call *c)
{
	open_stream(c, c->params[0], c->body.stream_open.vm);
}
