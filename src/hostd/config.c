/* SPDX-License-Identifier: Apache-2.0 */
/* STATE/dvm.ini as dvm-hostd reads it: one table of keys. */
#include "config.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "ini.h"
#include "parse.h"

#define KIB ((uint64_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static const struct key {
	const char *name;
	size_t offset;
	uint64_t min, max; /* bytes */
} keys[] = {
	{ "scrollback", offsetof(struct hostd_config, scrollback_bytes), 64 * KIB, 256 * MIB },
	{ "history", offsetof(struct hostd_config, history_bytes), MIB, 1024 * GIB },
	{ "history-total", offsetof(struct hostd_config, history_total_bytes), MIB,
	  1024 * 1024 * GIB },
};

static const struct hostd_config defaults = {
	.scrollback_bytes = MIB,
	.history_bytes = 16 * MIB,
	.history_total_bytes = 2 * GIB,
	.stopped_limit = 15 * 60 * USEC_PER_SEC,
};

static int debugger_key(const char *key, const char *value, unsigned line, struct hostd_config *c,
			struct fault *fault)
{
	usec_t limit;

	if (strcmp(key, "stopped-limit") != 0) {
		return fault_set(fault, FAULT_UNKNOWN_FIELD,
				 "line %u: there is no key %s in [debugger]", line, key);
	}
	if (parse_duration(value, &limit) < 0 || limit < USEC_PER_SEC ||
	    limit > 7 * 86400 * USEC_PER_SEC) {
		fault_set(fault, FAULT_BAD_VALUE, "line %u: the value of %s is not allowed", line,
			  key);
		fault_hint(fault, "It is a time from 1s to 7d.");
		return -EREMOTEIO;
	}
	c->stopped_limit = limit;
	return 0;
}

static int config_key(const char *section, const char *key, const char *value, unsigned line,
		      void *user, struct fault *fault)
{
	if (strcmp(section, "debugger") == 0) {
		return debugger_key(key, value, line, user, fault);
	}
	/* The file is shared: each program refuses what is wrong in its own sections. */
	if (strcmp(section, "console") != 0) {
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		uint64_t bytes;

		if (strcmp(key, keys[i].name) != 0) {
			continue;
		}
		if (parse_size(value, &bytes) < 0 || bytes < keys[i].min || bytes > keys[i].max) {
			fault_set(fault, FAULT_BAD_VALUE, "line %u: the value of %s is not allowed",
				  line, key);
			fault_hint(fault, "It is a size from %lluK to %lluK.",
				   (unsigned long long)(keys[i].min / KIB),
				   (unsigned long long)(keys[i].max / KIB));
			return -EREMOTEIO;
		}
		*(uint64_t *)(void *)((char *)user + keys[i].offset) = bytes;
		return 0;
	}
	return fault_set(fault, FAULT_UNKNOWN_FIELD, "line %u: there is no key %s in [console]",
			 line, key);
}

int hostd_config_load(const char *path, struct hostd_config *ret, struct fault *fault)
{
	struct hostd_config c = defaults;
	int r = ini_parse_file(path, config_key, &c, fault);

	if (r < 0 && r != -ENOENT) {
		return r;
	}
	if (c.history_bytes > c.history_total_bytes) {
		return fault_set(fault, FAULT_BAD_VALUE, "history is larger than history-total");
	}
	*ret = c;
	return 0;
}
