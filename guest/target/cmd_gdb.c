/* SPDX-License-Identifier: Apache-2.0 */
/* target gdb: the gdb of this machine on the target's stub. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "client.h"
#include "parse.h"
#include "target.h"

#define GDB_PORT 1234 /* of the first target; the agent listens there (PROTOCOL.agent §5) */
#define GDB_ARGS 16
#define SYMBOLS "/root/vmlinux" /* the user's own, where `dvm cp` puts it as a rule */

/* The target's number in the session, by its name. */
static int target_index(const char *name, unsigned *ret, struct fault *fault)
{
	_cleanup_free_ char *text = NULL;
	json_t *agent, *item;
	size_t i;
	int r = client_agent(&text, fault);

	if (r < 0) {
		return r;
	}
	agent = json_loads(text, 0, NULL);
	r = fault_set(fault, FAULT_NOT_FOUND, "the session has no target %s", name);
	json_array_foreach(json_object_get(agent, "targets"), i, item)
	{
		if (json_is_string(item) && strcmp(json_string_value(item), name) == 0) {
			*ret = (unsigned)i;
			r = 0;
		}
	}
	json_decref(agent);
	return r;
}

int cmd_gdb(const struct command *c, struct invocation *in)
{
	_cleanup_free_ char *remote = NULL;
	char *argv[GDB_ARGS + 8] = { (char *)"gdb", (char *)"-q" };
	char name[NAME_BYTES];
	struct fault fault = { 0 };
	unsigned index = 0;
	int n = 2;

	if (client_target(in->name, name, &fault) < 0 || target_index(name, &index, &fault) < 0) {
		return complain(&fault);
	}
	remote = strf("target remote localhost:%u", GDB_PORT + index);
	if (!remote) {
		fault_set(&fault, FAULT_INTERNAL, "out of memory");
		return complain(&fault);
	}
	if (in->argc == 0 && access(SYMBOLS, R_OK) == 0) {
		argv[n++] = (char *)SYMBOLS;
	}
	argv[n++] = (char *)"-ex";
	argv[n++] = remote;
	for (int i = 0; i < in->argc && i < GDB_ARGS; i++) {
		argv[n++] = in->argv[i];
	}
	execvp(argv[0], argv);
	if (errno == ENOENT) {
		fault_set(&fault, FAULT_STACK_MISSING, "there is no gdb in this machine");
		fault_hint(&fault,
			   "Start the session with the stack `kernel`, or forward port %u "
			   "with `ssh -L`.",
			   GDB_PORT + index);
	} else {
		fault_set(&fault, FAULT_INTERNAL, "gdb: %s", strerror(errno));
	}
	return complain(&fault);
}
