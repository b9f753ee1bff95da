/* SPDX-License-Identifier: Apache-2.0 */
/* The targets' disks as they are in this D-VM: the links that the agent keeps under /dev/target. */
#pragma once

#include <stdbool.h>

#include "macro.h"

#define DISKS_MAX 64

struct disk {
	char name[64];	 /* vda, vda1: as the target calls it */
	char path[160];	 /* /dev/target/patient/vda1 */
	char device[32]; /* vdc1: here */
	uint64_t size_bytes;
	bool partition, read_only;
	char mounted_on[256]; /* "" if not */
};

/* The disks and partitions of `target`, in order of name. Returns how many (0: none, or no such
 * target). */
size_t disks_of(const char *target, struct disk disks[DISKS_MAX]);
/* "1.5 GiB" */
void size_format(uint64_t bytes, char out[24]);
