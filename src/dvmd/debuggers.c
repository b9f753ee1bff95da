/* SPDX-License-Identifier: Apache-2.0 */
/* Which VMs have a debugger. See debuggers.h. */
#include "debuggers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "log.h"
#include "map.h"
#include "store_session.h"
#include "store_vm.h"

static const char *const names[] = {
	[DEBUGGER_OFF] = "off",
	[DEBUGGER_RUNNING] = "running",
	[DEBUGGER_STOPPED] = "stopped",
};
static_assert(ARRAY_SIZE(names) == _DEBUGGER_MAX, "a name for each");

struct debuggers {
	struct map *by_vm; /* to an entry of `names`; none: off */
};

enum debugger debugger_parse(const char *name)
{
	for (unsigned i = 0; i < _DEBUGGER_MAX; i++) {
		if (strcmp(names[i], name) == 0) {
			return (enum debugger)i;
		}
	}
	return DEBUGGER_OFF;
}

int debuggers_new(struct debuggers **ret)
{
	struct debuggers *s = calloc(1, sizeof(*s));

	if (s) {
		s->by_vm = map_new();
	}
	if (!s || !s->by_vm) {
		free(s);
		return -ENOMEM;
	}
	*ret = s;
	return 0;
}

struct debuggers *debuggers_free(struct debuggers *s)
{
	if (s) {
		map_free(s->by_vm);
		free(s);
	}
	return NULL;
}

enum debugger debugger_of(const struct dvmd *d, const char *vm)
{
	const char *name = map_get(d->debuggers->by_vm, vm);

	return name ? debugger_parse(name) : DEBUGGER_OFF;
}

json_t *debugger_view(const struct dvmd *d, const char *vm)
{
	enum debugger state = debugger_of(d, vm);

	return state == DEBUGGER_OFF ? json_null() : json_string(names[state]);
}

static void record(struct dvmd *d, const struct vm_row *vm, enum debugger state, bool expired)
{
	char session[ID_MAX] = "";
	struct fault fault;

	if (store_session_of_vm(d->store, vm->id, session, NULL) < 0) {
		session[0] = '\0';
	}
	if (events_add(d->events, "vm.debugger", session[0] ? session : NULL, vm->id, vm->project,
		       json_pack("{s:s,s:b}", "state", names[state], "expired", expired),
		       &fault) < 0) {
		log_debug("the debugger of %s is not recorded: %s, ignoring", vm->id,
			  fault.message);
		return;
	}
	events_committed(d->events);
}

void debugger_set(struct dvmd *d, const char *vm, enum debugger state, bool expired)
{
	struct vm_row row;

	if (debugger_of(d, vm) == state && !expired) {
		return;
	}
	if (store_vm_get(d->store, vm, &row, NULL) < 0) {
		map_remove(d->debuggers->by_vm, vm);
		return;
	}
	if (state == DEBUGGER_OFF) {
		map_remove(d->debuggers->by_vm, vm);
	} else if (map_put(d->debuggers->by_vm, vm, (void *)names[state], NULL) < 0) {
		log_warn("out of memory; the debugger of %s is not shown", vm);
	}
	record(d, &row, state, expired);
}
