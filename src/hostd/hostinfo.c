/* SPDX-License-Identifier: Apache-2.0 */
/* What the host has to give. */
#include "hostinfo.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "file.h"

static int field(const char *text, const char *name, uint64_t *ret_mib)
{
	const char *line = strstr(text, name);
	unsigned long long kib;

	if (!line || sscanf(line + strlen(name), ": %llu kB", &kib) != 1) {
		return -EBADMSG;
	}
	*ret_mib = kib / 1024;
	return 0;
}

int host_memory(uint64_t *ret_free_mib, uint64_t *ret_total_mib)
{
	_cleanup_free_ char *text = NULL;
	uint64_t free_mib, total_mib;
	size_t len;
	int r;

	r = file_read("/proc/meminfo", 65536, &text, &len);
	if (r == 0) {
		r = field(text, "MemAvailable", &free_mib);
	}
	if (r == 0) {
		r = field(text, "MemTotal", &total_mib);
	}
	if (r == 0) {
		*ret_free_mib = free_mib;
		*ret_total_mib = total_mib;
	}
	return r;
}
