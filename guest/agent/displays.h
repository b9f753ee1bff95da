/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The targets' displays on the D-VM's own loopback, for any VNC viewer in it or behind `ssh -L`:
 * port DISPLAYS_PORT + N is the session's target N (PROTOCOL.agent §5).
 */
#pragma once

#include <sys/types.h>

#include "config.h"
#include "list.h"
#include "loop.h"

#define DISPLAYS_PORT 5900

struct agent;

struct displays {
	struct agent *agent;
	struct source listeners[CONFIG_TARGETS_MAX]; /* fd -1: no such target */
	struct list viewers;			     /* struct bridge */
	size_t n_viewers;
};

void displays_init(struct displays *d, struct agent *a);
void displays_fini(struct displays *d);
/* Listens for each target there is: after their names changed. */
void displays_scan(struct displays *d);
void displays_prepare(struct displays *d);
