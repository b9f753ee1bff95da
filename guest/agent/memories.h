/* SPDX-License-Identifier: Apache-2.0 */
/* The targets' live memory: links to the disks that it is here, and that live means live. */
#pragma once

#include "config.h"
#include "loop.h"

struct agent;

struct memory {
	char block[32];	  /* vdc */
	char sectors[32]; /* read of it when its cache was dropped last, as /sys has them */
};

struct memories {
	struct agent *agent;
	struct memory devices[CONFIG_TARGETS_MAX];
	size_t n;
	struct timer timer;
};

void memories_init(struct memories *m, struct agent *a);
/* What disks_scan() has found: nothing, and then each disk that is the memory of a target. */
void memories_scan_begin(struct memories *m);
void memories_add(struct memories *m, uint32_t target, const char *block);
