/* SPDX-License-Identifier: Apache-2.0 */
/* Which VMs have a debugger, as dvm-hostd tells: it is what is now, and stands in no record but as
 * events. */
#pragma once

#include <jansson.h>

#include "dvmd.h"

enum debugger { DEBUGGER_OFF, DEBUGGER_RUNNING, DEBUGGER_STOPPED, _DEBUGGER_MAX };

/* "off" for what is none. */
enum debugger debugger_parse(const char *name);
int debuggers_new(struct debuggers **ret) _must_check_;
struct debuggers *debuggers_free(struct debuggers *s);
enum debugger debugger_of(const struct dvmd *d, const char *vm);
/* JSON: null, "running", "stopped". */
json_t *debugger_view(const struct dvmd *d, const char *vm);
/* News are an event, "vm.debugger"; of a VM that is not in the inventory nothing is noted.
 * `expired`: it runs for its controller said nothing for too long. */
void debugger_set(struct dvmd *d, const char *vm, enum debugger state, bool expired);
