/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's parts, and who owns them.
 *
 * Theory of operation: one link to the relay (port.c) over the virtio-serial port. The relay opens
 * `config` (identity.c: who may log in, the clock, the targets' names) and `ssh` (ssh.c: one SSH
 * server for each). Local programs, first of all the `target` command, connect to RUN/agent.sock
 * (local.c) and speak the same frames; what they open is switched through to the relay (switch.c).
 * Disks that the hypervisor plugs in get links under /dev/target (disks.c); the targets' displays
 * and gdb stubs are ports of the loopback (loopback.c). Stacks that come as disks are laid over the
 * root (stacks.c).
 *
 * Callbacks never free: an object that is done marks itself dead, and agent_prepare(), which runs
 * before each wait, frees it. agent_prepare() also asks each object what to poll for.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "disks.h"
#include "identity.h"
#include "local.h"
#include "loop.h"
#include "loopback.h"
#include "memories.h"
#include "port.h"
#include "ports.h"
#include "ssh.h"
#include "stacks.h"

struct options {
	int fd;		      /* a stream to the relay; -1: the virtio port */
	int port;	      /* the virtio port, open; -1: find it and await the host */
	const char *ssh_exec; /* NULL: dropbear */
	const char *run_dir;
	bool apply; /* change the machine we run on: host name, clock, entropy, keys */
};

struct agent {
	struct loop loop;
	struct options options;
	struct port port;
	struct identity identity;
	struct ssh ssh;
	struct local local;
	struct disks disks;
	struct loopback loopback[_LOOPBACK_MAX];
	struct ports ports;
	struct memories memories;
	struct stacks stacks;
	struct source signals;
};

/* The identity or the disks changed: what depends on them follows. */
void agent_identity_changed(struct agent *a);
