/* SPDX-License-Identifier: Apache-2.0 */
/* Other programs of the user's, started for him. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "macro.h"

/* Whether PATH has it. */
bool program_in_path(const char *program);
/* Starts argv[0], looked for in PATH, with no signal blocked or ignored. -errno. */
int program_spawn(char *const *argv, pid_t *ret) _must_check_;
/* The exit status of one that has ended, 128 + N by signal N; -EAGAIN while it runs. */
int program_reap(pid_t pid) _must_check_;
