/* SPDX-License-Identifier: Apache-2.0 */
/* The target's kernel as `target info` shows it. */
#include "show_system.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "disk.h"
#include "system.h"

static void wall_clock(const struct system *s, char out[32])
{
	time_t t = (time_t)s->wall_s;
	struct tm tm;

	out[0] = '\0';
	if (gmtime_r(&t, &tm)) {
		strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
	}
}

void show_system(struct kernel *k)
{
	struct system s;
	char size[24], up[48], clock[32];

	system_read(k, &s);
	size_format(core_memory_bytes(kernel_core(k)), size);
	printf("%-12sLinux %s%s%s\n", "kernel", s.release, s.version[0] ? ", " : "", s.version);
	if (s.host[0]) {
		printf("%-12s%s\n", "host name", s.host);
	}
	if (s.has_time) {
		uptime_format(s.uptime_ns, up);
		wall_clock(&s, clock);
		printf("%-12s%s, its clock says %s\n", "up for", up, clock);
	}
	if (s.cpus_online) {
		printf("%-12s%u online, load %u.%02u %u.%02u %u.%02u\n", "CPUs", s.cpus_online,
		       s.load_hundredths[0] / 100, s.load_hundredths[0] % 100,
		       s.load_hundredths[1] / 100, s.load_hundredths[1] % 100,
		       s.load_hundredths[2] / 100, s.load_hundredths[2] % 100);
	}
	printf("%-12s%s\n", "memory", size);
	if (s.panicked) {
		printf("%-12spanic on CPU %u; `target dmesg` ends with it\n", "state", s.panic_cpu);
	}
}

json_t *show_system_json(struct kernel *k)
{
	struct system s;
	char clock[32];
	json_t *o;

	system_read(k, &s);
	wall_clock(&s, clock);
	o = json_pack("{s:s, s:s, s:s, s:I, s:i, s:[f,f,f], s:I, s:b}", "release", s.release,
		      "version", s.version, "host_name", s.host, "memory_bytes",
		      (json_int_t)core_memory_bytes(kernel_core(k)), "cpus_online",
		      (int)s.cpus_online, "load", s.load_hundredths[0] / 100.0,
		      s.load_hundredths[1] / 100.0, s.load_hundredths[2] / 100.0, "taints",
		      (json_int_t)s.taints, "panicked", s.panicked);
	json_object_set_new(o, "uptime_seconds",
			    s.has_time ? json_real((double)s.uptime_ns / 1e9) : json_null());
	json_object_set_new(o, "clock", s.has_time ? json_string(clock) : json_null());
	json_object_set_new(o, "panic_cpu", s.panicked ? json_integer(s.panic_cpu) : json_null());
	json_object_set_new(o, "partial",
			    memory_partial(k) ? json_string(memory_partial(k)) : json_null());
	return o;
}
