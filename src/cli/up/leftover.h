/* SPDX-License-Identifier: Apache-2.0 */
/* Processes of a state folder that outlived their supervisor, known by the locks they hold. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "macro.h"

enum leftover_set {
	LEFTOVER_PROGRAMS = 1, /* dvm-door, dvm-gate, dvm-hostd, dvmd */
	LEFTOVER_RELAYS = 2,
	LEFTOVER_GROUND =
		4, /* what dvm up started for them to stand on: libvirt's daemons, dvm-fakevirt */
};

/* How many of these run. */
unsigned leftover_count(const char *state, unsigned sets);
/* SIGTERM, SIGKILL after a while, wait until gone. Returns how many there were. */
unsigned leftover_stop(const char *state, unsigned sets);
/* Ends the process that holds the lock file `path`; false when none does. */
bool leftover_stop_owner(const char *path, usec_t patience);
