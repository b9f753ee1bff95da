/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of a guest, as a file that its emulator holds. */
#pragma once

#include <sys/types.h>

#include "macro.h"

/*
 * Gives pages of zeroes back to the system: a guest that was restored has them all, though it never
 * used most. `name`: of the domain, which must be paused; `size_bytes` tells its memory from other
 * files of the emulator. Negative errno where there is nothing of the kind.
 */
int emulator_ram_trim(const char *run_folder, const char *name, uint64_t size_bytes) _must_check_;
/* The same for a file. */
int ram_file_trim(int fd, uint64_t size_bytes) _must_check_;
