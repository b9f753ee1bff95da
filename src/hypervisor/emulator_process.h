/* SPDX-License-Identifier: Apache-2.0 */
/* The process of a running domain. */
#pragma once

#include <sys/types.h>

#include "macro.h"

/* Opens the memory of the emulator of the domain of that name and UUID, to be read only: as found
 * by libvirt's pid file in `run_folder`, and made sure of by the process's own arguments. -ENOENT:
 * it does not run. */
int emulator_memory_open(const char *run_folder, const char *name, const char *uuid,
			 int *ret_fd) _must_check_;
