/* SPDX-License-Identifier: Apache-2.0 */
/* What a kernel says of its machine as a whole. */
#pragma once

#include "kernel.h"

struct system {
	char release[80], version[80], host[80];
	bool has_time;
	uint64_t uptime_ns; /* as of its last tick */
	int64_t wall_s;	    /* its clock then, seconds since 1970 */
	unsigned cpus_online;
	unsigned load_hundredths[3]; /* of 1, 5 and 15 minutes */
	uint64_t taints;
	bool panicked;
	unsigned panic_cpu;
};

/* What cannot be had is zero; needs types for all but the names. */
void system_read(struct kernel *k, struct system *ret);
/* Since boot, times asleep counted; false if it cannot be told. */
bool system_uptime(struct kernel *k, uint64_t *ret_ns);
/* "3 days 4:05:06", "4:05:06" */
void uptime_format(uint64_t ns, char out[48]);
