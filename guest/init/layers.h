/* SPDX-License-Identifier: Apache-2.0 */
/* Builds the D-VM's root file system from its read-only layers. */
#pragma once

#define LAYERS_NEWROOT "/newroot"

/*
 * Finds the disks with the serials `root` and `stack-NAME`, mounts each read-only, and mounts an
 * overlay of them all with a RAM upper layer on LAYERS_NEWROOT. Waits up to `wait_ms` for the root
 * disk. Returns 0, or -errno after having said what is wrong.
 */
int layers_mount(int wait_ms);

/* Moves the kernel's file systems into LAYERS_NEWROOT and makes it the root. 0 or -errno. */
int layers_switch_root(void);
