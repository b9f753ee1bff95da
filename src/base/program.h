/* SPDX-License-Identifier: Apache-2.0 */
/* Where our other programs are. */
#pragma once

#include "macro.h"

/* Path of a program or script of ours by its name below the folder of programs: $DVM_LIBEXEC, else
 * the folder of this executable, else ../lib/dvm beside that (a tree that was moved), else where
 * `make install` puts it. -ENOENT. */
int program_find(const char *name, char **ret) _must_check_;
