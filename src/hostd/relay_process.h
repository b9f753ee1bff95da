/* SPDX-License-Identifier: Apache-2.0 */
/* Starts a relay as a process that outlives us, and ends one that does not listen to reason. */
#pragma once

#include <sys/types.h>

#include "fault.h"

struct relay_start {
	const char *program;
	const char *name;
	const char *folder;   /* RUN/relay/NAME, exists */
	const char *log_path; /* its stderr */
	uid_t uid;
};

/* Makes control.sock and pid in `folder`; the process is no child of ours. -errno. */
int relay_process_start(const struct relay_start *start) _must_check_;
/* The same for a server of live memory (PROTOCOL.memory): nbdkit with `program` as its plugin. It
 * also gets the listening nbd.sock in `folder`, which belongs to `client`; 0: to us. -ENOENT:
 * nbdkit is not installed. */
int memory_process_start(const struct relay_start *start, uid_t client) _must_check_;
/* Kills the process that holds FOLDER/pid, if any, and waits for its end. */
void relay_process_kill(const char *folder);
