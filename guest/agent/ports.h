/* SPDX-License-Identifier: Apache-2.0 */
/* Ports of the targets: links to the devices that they are here. */
#pragma once

#include "config.h"

struct agent;

struct ports {
	struct agent *agent;
	/* UARTs whose line has been set: the user's own settings stay. */
	char set[CONFIG_PORTS_MAX][CONFIG_PLACE_MAX];
};

void ports_init(struct ports *p, struct agent *a);
/* Makes the links as they must be now. /dev/target has been emptied by disks_scan(), which calls
 * this. */
void ports_scan(struct ports *p);
