/* SPDX-License-Identifier: Apache-2.0 */
/* The way of a target's live memory into this D-VM. */
#include "attach_memory.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "cleanup.h"
#include "client.h"
#include "clock.h"
#include "parse.h"

#define APPEAR_TIMEOUT (15 * USEC_PER_SEC)

char *memory_path(const char *target)
{
	return strf("/dev/target-memory.%s", target);
}

static int wait_for_link(const char *path, struct fault *ret_fault)
{
	usec_t until = clock_monotonic() + APPEAR_TIMEOUT;

	while (access(path, F_OK) < 0) {
		if (clock_monotonic() > until) {
			fault_set(ret_fault, FAULT_TIMEOUT,
				  "the memory was plugged in but did not appear here");
			fault_hint(ret_fault, "`dmesg` may say why; `target memory detach` takes "
					      "it away again.");
			return -EREMOTEIO;
		}
		poll(NULL, 0, 20);
	}
	return 0;
}

int memory_attach(const char *target, struct fault *ret_fault)
{
	_cleanup_free_ char *line = strf("memory attach %s", target), *text = NULL;
	_cleanup_free_ char *path = memory_path(target);
	struct fault fault = { 0 };

	if (!line || !path) {
		return fault_set(ret_fault, FAULT_INTERNAL, "no memory");
	}
	/* it may be on its way already: of a session that began with it */
	if (client_verb(line, &text, &fault) < 0 && fault.code != FAULT_ALREADY_ATTACHED) {
		*ret_fault = fault;
		return -EREMOTEIO;
	}
	return wait_for_link(path, ret_fault);
}
