/* SPDX-License-Identifier: Apache-2.0 */
/* STATE/dvm.ini: one table of keys. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "ini.h"
#include "parse.h"

enum kind { KIND_UNSIGNED, KIND_COUNT, KIND_DURATION, KIND_SWITCH, KIND_TEXT };

static const struct key {
	const char *section, *name;
	enum kind kind;
	size_t offset;
	uint64_t min, max; /* KIND_DURATION: seconds; KIND_TEXT: bytes */
} keys[] = {
#define KEY(section, name, kind, member, min, max)                                                 \
	{                                                                                          \
		section, name, kind, offsetof(struct config, member), min, max                     \
	}
	KEY("session", "per-project", KIND_UNSIGNED, sessions_per_project, 1, 1000),
	KEY("session", "lease-default", KIND_DURATION, lease_default, 60, 604800),
	KEY("session", "lease-max", KIND_DURATION, lease_max, 60, 604800),
	KEY("session", "provision-deadline", KIND_DURATION, provision_deadline, 1, 3600),
	KEY("dvm", "memory-mib", KIND_UNSIGNED, dvm_memory_mib, 64, 1048576),
	KEY("dvm", "vcpus", KIND_UNSIGNED, dvm_vcpus, 1, 64),
	KEY("dvm", "boot-timeout", KIND_DURATION, dvm_boot_timeout, 1, 3600),
	KEY("dvm", "memory-images", KIND_SWITCH, dvm_memory_images, 0, 0),
	KEY("dvm", "pool-min", KIND_UNSIGNED, pool_min, 0, 64),
	KEY("dvm", "pool-max", KIND_UNSIGNED, pool_max, 0, 64),
	KEY("dvm", "pool-memory-mib", KIND_UNSIGNED, pool_memory_mib, 0, 1048576),
	KEY("dvm", "pool-refill", KIND_DURATION, pool_refill, 1, 3600),
	KEY("dvm", "image", KIND_TEXT, image, 1, sizeof(((struct config *)0)->image) - 1),
	KEY("record", "events-max", KIND_COUNT, events_max, 1000, 1000000000),
	KEY("record", "events-age", KIND_DURATION, events_age, 3600, 315360000),
	KEY("record", "audit-max", KIND_COUNT, audit_max, 1000, 1000000000),
	KEY("record", "audit-age", KIND_DURATION, audit_age, 3600, 315360000),
#undef KEY
};

#define DAY (86400 * USEC_PER_SEC)

static const struct config defaults = {
	.sessions_per_project = 8,
	.lease_default = 3600 * USEC_PER_SEC,
	.lease_max = DAY,
	.provision_deadline = 60 * USEC_PER_SEC,
	.dvm_memory_mib = 256,
	.dvm_vcpus = 1,
	.dvm_boot_timeout = 60 * USEC_PER_SEC,
	.dvm_memory_images = true,
	.pool_min = 1,
	.pool_max = 4,
	.pool_memory_mib = 2048,
	.pool_refill = 2 * USEC_PER_SEC,
	.events_max = 100000,
	.events_age = 90 * DAY,
	.audit_max = 1000000,
	.audit_age = 3650 * DAY,
};

static int set(struct config *c, const struct key *k, const char *value)
{
	void *at = (char *)c + k->offset;
	uint32_t u32;
	uint64_t u64;
	usec_t duration;

	switch (k->kind) {
	case KIND_UNSIGNED:
		if (parse_u32(value, &u32) < 0 || u32 < k->min || u32 > k->max) {
			return -EINVAL;
		}
		*(unsigned *)at = u32;
		return 0;
	case KIND_COUNT:
		if (parse_u64(value, &u64) < 0 || u64 < k->min || u64 > k->max) {
			return -EINVAL;
		}
		*(uint64_t *)at = u64;
		return 0;
	case KIND_DURATION:
		if (parse_duration(value, &duration) < 0 || duration < k->min * USEC_PER_SEC ||
		    duration > k->max * USEC_PER_SEC) {
			return -EINVAL;
		}
		*(usec_t *)at = duration;
		return 0;
	case KIND_SWITCH:
		if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0) {
			return -EINVAL;
		}
		*(bool *)at = strcmp(value, "yes") == 0;
		return 0;
	case KIND_TEXT:
		if (strlen(value) < k->min || strlen(value) > k->max) {
			return -EINVAL;
		}
		strcpy(at, value);
		return 0;
	}
	return -EINVAL;
}

/* The file is shared: each program refuses what is wrong in its own sections. */
static bool of_another_program(const char *section)
{
	return strcmp(section, "gate") == 0 || strcmp(section, "host") == 0 ||
	       strcmp(section, "door") == 0 || strcmp(section, "console") == 0 ||
	       strcmp(section, "debugger") == 0;
}

static int config_key(const char *section, const char *key, const char *value, unsigned line,
		      void *user, struct fault *fault)
{
	if (of_another_program(section)) {
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (strcmp(section, keys[i].section) != 0 || strcmp(key, keys[i].name) != 0) {
			continue;
		}
		if (set(user, &keys[i], value) < 0) {
			return fault_set(fault, FAULT_BAD_VALUE,
					 "line %u: the value of %s is not allowed", line, key);
		}
		return 0;
	}
	return fault_set(fault, FAULT_UNKNOWN_FIELD, "line %u: there is no key %s in [%s]", line,
			 key, section);
}

int config_load(const char *path, struct config *ret, struct fault *fault)
{
	struct config c = defaults;
	int r = ini_parse_file(path, config_key, &c, fault);

	if (r < 0 && r != -ENOENT) {
		return r;
	}
	if (c.lease_default > c.lease_max) {
		return fault_set(fault, FAULT_BAD_VALUE, "lease-default is longer than lease-max");
	}
	if (c.pool_min > c.pool_max) {
		return fault_set(fault, FAULT_BAD_VALUE, "pool-min is larger than pool-max");
	}
	*ret = c;
	return 0;
}
