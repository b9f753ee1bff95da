/* SPDX-License-Identifier: Apache-2.0 */
/* Answers from the loop: one deferred event source each, which floats with the loop. */
#include "later.h"

struct later {
	struct fault fault;
	ops_reply_fn fn;
	void *user;
};

static int later_dispatch(sd_event_source *source, void *user)
{
	struct later *l = user;

	l->fn(NULL, &l->fault, l->user);
	sd_event_source_disable_unref(source);
	return 0;
}

void later_fault(sd_event *event, const struct fault *fault, ops_reply_fn fn, void *user)
{
	struct later *l = calloc(1, sizeof(*l));
	sd_event_source *source;

	if (!l) {
		fn(NULL, fault, user);
		return;
	}
	*l = (struct later){ .fault = *fault, .fn = fn, .user = user };
	if (sd_event_add_defer(event, &source, later_dispatch, l) < 0) {
		free(l);
		fn(NULL, fault, user);
		return;
	}
	sd_event_source_set_destroy_callback(source, free);
	sd_event_source_set_floating(source, 1);
}

void now_result(json_t *result, ops_reply_fn fn, void *user)
{
	static const struct fault no_memory = { .code = FAULT_INTERNAL,
						.message = "Out of memory" };

	fn(result, result ? NULL : &no_memory, user);
	json_decref(result);
}
