/* SPDX-License-Identifier: Apache-2.0 */
/* The serial number by which the D-VM knows a target's disk. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "disks.h"
#include "parse.h"

int disk_serial_parse(const char *serial, uint32_t *ret_target, const char **ret_device)
{
	const char *dash = strchr(serial, '-');
	char number[8] = "";

	if (serial[0] != 't' || !dash || dash == serial + 1 || dash - serial > 4) {
		return -EINVAL;
	}
	memcpy(number, serial + 1, dash - serial - 1);
	if (dash[1] == '\0') {
		return -EINVAL;
	}
	for (const char *p = dash + 1; *p; p++) {
		if (!isalnum((unsigned char)*p) && *p != '_' && *p != '-') {
			return -EINVAL;
		}
	}
	if (parse_u32(number, ret_target) < 0) {
		return -EINVAL;
	}
	*ret_device = dash + 1;
	return 0;
}
