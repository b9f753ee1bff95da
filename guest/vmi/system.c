/* SPDX-License-Identifier: Apache-2.0 */
/* What a kernel says of its machine as a whole. */
#include "system.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "object.h"

#define NS_PER_S ((uint64_t)1000000000)
#define LOAD_SHIFT 11 /* FSHIFT */

/* The kernel's clock: a copy of it where there is one (to 6.12), else the one in tk_core, whose
 * type has had a name since. */
static uint64_t timekeeper(struct kernel *k)
{
	uint64_t address;

	if (!object_has(k, "timekeeper", "wall_to_monotonic")) {
		return 0;
	}
	if (kernel_symbol(k, "shadow_timekeeper", &address)) {
		return address;
	}
	if (object_has(k, "tk_data", "timekeeper") && kernel_symbol(k, "tk_core", &address)) {
		return object_at(k, "tk_data", address, "timekeeper");
	}
	if (object_has(k, "tk_data", "timekeeper") &&
	    kernel_symbol(k, "timekeeper_data", &address)) {
		return object_at(k, "tk_data", address, "timekeeper");
	}
	return 0;
}

static bool read_clock(struct kernel *k, uint64_t *ret_uptime_ns, int64_t *ret_wall_s)
{
	uint64_t tk = timekeeper(k), ns, shift;
	uint64_t mono_ns;
	int64_t mono_s;

	if (!tk) {
		return false;
	}
	*ret_wall_s = (int64_t)object_u64(k, "timekeeper", tk, "xtime_sec");
	shift = object_u64(k, "timekeeper", tk, "tkr_mono.shift");
	ns = object_u64(k, "timekeeper", tk, "tkr_mono.xtime_nsec") >> (shift & 63);
	/* in numbers without a sign: what stands there may be anything */
	mono_s = (int64_t)((uint64_t)*ret_wall_s +
			   object_u64(k, "timekeeper", tk, "wall_to_monotonic.tv_sec"));
	mono_ns = ns % NS_PER_S + object_u64(k, "timekeeper", tk, "wall_to_monotonic.tv_nsec");
	if (mono_s < 0 || mono_s > (int64_t)1 << 32) {
		return false;
	}
	*ret_uptime_ns = (uint64_t)mono_s * NS_PER_S + mono_ns +
			 object_u64(k, "timekeeper", tk, "offs_boot");
	return true;
}

bool system_uptime(struct kernel *k, uint64_t *ret_ns)
{
	int64_t wall;

	return read_clock(k, ret_ns, &wall);
}

void system_read(struct kernel *k, struct system *s)
{
	uint64_t address;

	*s = (struct system){ 0 };
	snprintf(s->release, sizeof(s->release), "%s", kernel_release(k));
	if (!kernel_btf(k) || !kernel_kallsyms(k)) {
		return;
	}
	if (kernel_symbol(k, "init_uts_ns", &address)) {
		object_text(k, "uts_namespace", address, "name.nodename", s->host, sizeof(s->host));
		object_text(k, "uts_namespace", address, "name.version", s->version,
			    sizeof(s->version));
	}
	s->has_time = read_clock(k, &s->uptime_ns, &s->wall_s);
	for (unsigned i = 0; i < kernel_cpu_count(k); i++) {
		s->cpus_online += kernel_cpu_online(k, i);
	}
	if (kernel_symbol(k, "avenrun", &address)) {
		for (unsigned i = 0; i < 3; i++) {
			uint64_t load = kernel_u64(k, address + 8 * i) * 100;

			s->load_hundredths[i] =
				(unsigned)((load + (1 << (LOAD_SHIFT - 1))) >> LOAD_SHIFT);
		}
	}
	if (kernel_symbol(k, "tainted_mask", &address)) {
		s->taints = kernel_u64(k, address);
	}
	if (kernel_symbol(k, "panic_cpu", &address)) {
		int32_t cpu = (int32_t)kernel_u32(k, address);

		s->panicked = cpu >= 0;
		s->panic_cpu = s->panicked ? (unsigned)cpu : 0;
	}
}

void uptime_format(uint64_t ns, char out[48])
{
	uint64_t s = ns / NS_PER_S, days = s / 86400;
	char start[24] = "";

	if (days > 0) {
		snprintf(start, sizeof(start), "%" PRIu64 " day%s ", MIN(days, (uint64_t)99999999),
			 days == 1 ? "" : "s");
	}
	snprintf(out, 48, "%s%u:%02u:%02u", start, (unsigned)(s / 3600 % 24),
		 (unsigned)(s / 60 % 60), (unsigned)(s % 60));
}
