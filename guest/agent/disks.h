/* SPDX-License-Identifier: Apache-2.0 */
/* Disks of the targets: /dev/target/NAME/DEV while they are plugged in. */
#pragma once

#include "loop.h"

struct agent;

struct disks {
	struct agent *agent;
	struct source uevents; /* the kernel's; there is no udev */
};

int disks_init(struct disks *d, struct agent *a) _must_check_;
void disks_fini(struct disks *d);
void disks_prepare(struct disks *d);
/* Makes /dev/target as it must be now: after the targets' names changed. */
void disks_scan(struct disks *d);

/* Splits a serial "tN-DEV" (PROTOCOL.agent §4). *ret_device points into `serial`. -EINVAL for any
 * other text. */
int disk_serial_parse(const char *serial, uint32_t *ret_target,
		      const char **ret_device) _must_check_;
