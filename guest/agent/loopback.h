/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service of the targets on the D-VM's own loopback, for any program in it or behind `ssh -L`:
 * displays, for VNC viewers, and gdb stubs. The service's port + N is the session's target N
 * (PROTOCOL.agent §5).
 */
#pragma once

#include <sys/types.h>

#include "config.h"
#include "list.h"
#include "loop.h"

enum loopback_service { LOOPBACK_VNC, LOOPBACK_GDB, _LOOPBACK_MAX };

struct agent;

struct loopback {
	struct agent *agent;
	enum loopback_service service;
	struct source listeners[CONFIG_TARGETS_MAX]; /* fd -1: no such target */
	struct list conns;			     /* struct bridge */
	size_t n_conns;
};

void loopback_init(struct loopback *d, struct agent *a, enum loopback_service service);
void loopback_fini(struct loopback *d);
/* Listens for each target there is: after their names changed. */
void loopback_scan(struct loopback *d);
void loopback_prepare(struct loopback *d);
