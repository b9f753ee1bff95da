/* SPDX-License-Identifier: Apache-2.0 */
/* Where our other programs are. */
#pragma once

#include "macro.h"

/* The folder that holds the program `name`: $DVM_LIBEXEC, else ours, else where `make install` puts
 * it. -ENOENT. */
int program_folder(const char *name, char **ret) _must_check_;
