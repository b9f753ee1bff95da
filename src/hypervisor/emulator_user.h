/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an emulator needs of its host besides its files when it runs as a user of its own, whom no
 * package has given anything.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "macro.h"

/* libvirt's folder of its QEMU driver,
 * https://libvirt.org/drvqemu.html#location-of-configuration-files: each domain has a folder of its
 * own below it. */
#define EMULATOR_FOLDER "/var/lib/libvirt/qemu"

/*
 * Lets every user pass through `folder` (mode o+x: not list it, and what is in it keeps its own
 * modes). libvirt makes and installs it so, 0751; Debian's package has 0750, which only the one
 * user that all emulators share there can pass, and every upgrade puts that back. So this is asked
 * before each start. 0, also when there is no such folder: libvirt will make it; -errno.
 */
int emulator_folder_open(const char *folder) _must_check_;

/* The group an emulator runs with: that of `device` (/dev/kvm) where only its group may use it,
 * else `own`. */
gid_t emulator_group(const char *device, gid_t own);
