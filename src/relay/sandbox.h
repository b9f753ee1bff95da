/* SPDX-License-Identifier: Apache-2.0 */
/* The empty room in which the relay works. */
#pragma once

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "macro.h"

struct sandbox_options {
	/* Who to become when started as root; otherwise who we are already. */
	uid_t uid;
	gid_t gid;
	rlim_t files_max;      /* open fds; fewer where we may not have as many */
	rlim_t file_bytes_max; /* a file may grow to this */
};

/* Walls that the kernel may refuse to build; the others are an error. */
enum sandbox_wall {
	SANDBOX_NAMESPACES = 1 << 0, /* network, mounts, ipc, host name */
	SANDBOX_ROOT = 1 << 1,	     /* an empty root */
	SANDBOX_LANDLOCK = 1 << 2,
};

/* Leaves everything behind that is not needed to move bytes between fds. *ret_missing: the walls
 * that this kernel does not give. -errno when one fails that every kernel gives (limits, user,
 * capabilities, system call filter). */
int sandbox_enter(const struct sandbox_options *options, unsigned *ret_missing) _must_check_;
