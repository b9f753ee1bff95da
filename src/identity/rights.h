/* SPDX-License-Identifier: Apache-2.0 */
/* Rights, and the one table of their names. */
#pragma once

#include <jansson.h>

#include "fault.h"

enum right {
	RIGHT_VIEW = 1 << 0,   /* see the VM and its console, timeline, recordings */
	RIGHT_TYPE = 1 << 1,   /* write to consoles */
	RIGHT_DEBUG = 1 << 2,  /* make sessions */
	RIGHT_MEMORY = 1 << 3, /* read memory */
	RIGHT_DISK_READ = 1 << 4,
	RIGHT_DISK_WRITE = 1 << 5,
	RIGHT_POWER = 1 << 6, /* power and boot */
	RIGHT_ADMIN = 1 << 7, /* adopt VMs; users, projects, tokens of others, audit */
};
#define RIGHTS_ALL 0xffu
#define RIGHTS_COUNT 8

/* Name of one right: "disk-read". Never NULL. */
const char *right_name(enum right r);
/* By bit number, NULL-ended. */
extern const char *const right_names[RIGHTS_COUNT + 1];
/* Array of names; NULL on no memory. */
json_t *rights_to_json(unsigned rights);
