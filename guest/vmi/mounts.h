/* SPDX-License-Identifier: Apache-2.0 */
/* What a kernel has mounted. */
#pragma once

#include "paths.h"

#define MOUNTS_MAX 20000

struct mount_info {
	uint64_t address;
	char source[256], path[PATH_TEXT_MAX], type[64], options[160];
	bool has_space; /* of ext4, xfs and tmpfs only: others keep it elsewhere */
	uint64_t size_bytes, free_bytes;
	bool read_only;
};

/* Calls `each` for all mounts in the namespace of a task (its task_struct). */
void mounts_each(struct kernel *k, uint64_t task,
		 void (*each)(const struct mount_info *m, void *user), void *user);
