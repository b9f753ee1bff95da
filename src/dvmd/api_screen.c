/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/vms/{vm}/screenshot and /v1/vms/{vm}/keys */
#include "api_handlers.h"
#include "screen_ops.h"

void api_vm_keys(struct api_call *c)
{
	vm_keys(c->d, &c->who, c->params[0], &c->body.keys.keys, c->body.keys.text, api_on_ok, c);
}

/* Keys pressed twice are other keys. */
bool api_vm_keys_once(const struct api_call *c)
{
	return true;
}

static void on_screenshot(uint8_t *png, size_t len, const struct fault *fault, void *user)
{
	struct api_call *c = user;

	if (fault) {
		api_fault(c, fault);
		return;
	}
	api_reply_text_take(c, "image/png", (char *)png, len);
}

void api_vm_screenshot(struct api_call *c)
{
	vm_screenshot(c->d, &c->who, c->params[0], on_screenshot, c);
}
