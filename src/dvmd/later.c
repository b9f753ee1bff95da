/* SPDX-License-Identifier: Apache-2.0 */
/* Answers from the loop: one deferred event source each, which floats with the loop. */
#include "later.h"

struct later {
	struct fault fault;
	json_t *result;
	ops_reply_fn fn;
	void *user;
	sd_event_source *source;
};

static void answer(const struct fault *fault, json_t *result, ops_reply_fn fn, void *user)
{
	static const struct fault no_memory = { .code = FAULT_INTERNAL,
						.message = "Out of memory" };

	if (!fault && !result) {
		fault = &no_memory;
	}
	fn(fault ? NULL : result, fault, user);
	json_decref(result);
}

static void later_free(void *p)
{
	struct later *l = p;

	/* Not yet called: the loop goes away. */
	if (l->fn) {
		json_decref(l->result);
	}
	free(l);
}

static int later_dispatch(sd_event_source *source, void *user)
{
	struct later *l = user;
	ops_reply_fn fn = l->fn;

	l->fn = NULL;
	answer(l->fault.code ? &l->fault : NULL, l->result, fn, l->user);
	sd_event_source_disable_unref(source);
	return 0;
}

static void later(sd_event *event, const struct fault *fault, json_t *result, ops_reply_fn fn,
		  void *user)
{
	struct later *l = calloc(1, sizeof(*l));

	if (!l) {
		answer(fault, result, fn, user);
		return;
	}
	l->fn = fn;
	l->user = user;
	l->result = result;
	if (fault) {
		l->fault = *fault;
	}
	if (sd_event_add_defer(event, &l->source, later_dispatch, l) < 0) {
		free(l);
		answer(fault, result, fn, user);
		return;
	}
	sd_event_source_set_destroy_callback(l->source, later_free);
	sd_event_source_set_floating(l->source, 1);
}

void later_fault(sd_event *event, const struct fault *fault, ops_reply_fn fn, void *user)
{
	later(event, fault, NULL, fn, user);
}

void later_result(sd_event *event, json_t *result, ops_reply_fn fn, void *user)
{
	later(event, NULL, result, fn, user);
}

void now_result(json_t *result, ops_reply_fn fn, void *user)
{
	answer(NULL, result, fn, user);
}
