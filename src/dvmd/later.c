/* SPDX-License-Identifier: Apache-2.0 */
/* Answers from the loop. */
#include "later.h"

#include <stdlib.h>

#include "once.h"

struct later {
	struct fault fault;
	ops_reply_fn fn;
	void *user;
};

static void later_tell(void *user)
{
	const struct later *l = user;

	l->fn(NULL, &l->fault, l->user);
}

void later_fault(sd_event *event, const struct fault *fault, ops_reply_fn fn, void *user)
{
	struct later *l = calloc(1, sizeof(*l));

	if (!l) {
		fn(NULL, fault, user);
		return;
	}
	*l = (struct later){ .fault = *fault, .fn = fn, .user = user };
	if (once_later(event, 0, later_tell, free, l) < 0) {
		free(l);
		fn(NULL, fault, user);
	}
}

void now_result(json_t *result, ops_reply_fn fn, void *user)
{
	static const struct fault no_memory = { .code = FAULT_INTERNAL,
						.message = "Out of memory" };

	fn(result, result ? NULL : &no_memory, user);
	json_decref(result);
}
