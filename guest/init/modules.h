/* SPDX-License-Identifier: Apache-2.0 */
/* Loads the initramfs's kernel modules. */
#pragma once

/*
 * Loads the modules named in `list` (one path a line, in load order; '#' starts a comment).
 * A module that fails is reported and skipped: only what is missed later is fatal.
 * Returns 0, or -errno when the list cannot be read.
 */
int modules_load_list(const char *list);
