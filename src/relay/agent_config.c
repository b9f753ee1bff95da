/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent in the D-VM is told. */
#include "agent_config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "clock.h"
#include "parse.h"

#define KEY_BYTES_MAX 8000
#define LIST_MAX 64
#define SEED_BYTES 32

static int bad(struct fault *fault, const char *what)
{
	return fault_set(fault, FAULT_BAD_VALUE, "The agent's configuration: bad %s.", what);
}

static int name_line(struct buf *out, const char *word, const json_t *value, struct fault *fault)
{
	const char *name = json_string_value(value);

	if (!name || !name_valid(name) || buf_printf(out, "%s %s\n", word, name) < 0) {
		return bad(fault, word);
	}
	return 0;
}

static int key_line(struct buf *out, const json_t *value, struct fault *fault)
{
	const char *key = json_string_value(value);

	if (!key || !*key || !text_valid(key, KEY_BYTES_MAX) ||
	    buf_printf(out, "key %s\n", key) < 0) {
		return bad(fault, "key");
	}
	return 0;
}

static int target_line(struct buf *out, size_t i, const json_t *value, struct fault *fault)
{
	const char *name = json_string_value(json_object_get(value, "name"));

	if (!name || !name_valid(name) || buf_printf(out, "target %zu %s\n", i, name) < 0) {
		return bad(fault, "target");
	}
	return 0;
}

/* "pci 0000:00:07.0", "virtio org.dvm.port.t0-parallel0": two words, as dvm-hostd has them from the
 * hypervisor. */
static bool place_valid(const char *place)
{
	const char *blank = strchr(place, ' ');

	return blank && blank[1] && strlen(blank + 1) < 64 &&
	       strspn(blank + 1, "abcdefghijklmnopqrstuvwxyz0123456789.:-") == strlen(blank + 1) &&
	       (strncmp(place, "pci ", 4) == 0 || strncmp(place, "virtio ", 7) == 0);
}

static int port_line(struct buf *out, const json_t *value, struct fault *fault)
{
	const json_t *index = json_object_get(value, "index");
	const char *port = json_string_value(json_object_get(value, "port"));
	const char *place = json_string_value(json_object_get(value, "place"));

	if (!json_is_integer(index) || json_integer_value(index) < 0 ||
	    json_integer_value(index) >= LIST_MAX || !port || !name_valid(port) || !place ||
	    !place_valid(place) ||
	    buf_printf(out, "port %d %s %s\n", (int)json_integer_value(index), port, place) < 0) {
		return bad(fault, "port");
	}
	return 0;
}

int agent_config_encode(struct buf *out, const json_t *config, struct fault *fault)
{
	const json_t *keys = json_object_get(config, "keys");
	const json_t *targets = json_object_get(config, "targets");
	const json_t *stacks = json_object_get(config, "stacks");
	const json_t *ports = json_object_get(config, "ports");
	json_int_t lease_s = json_integer_value(json_object_get(config, "lease_s"));
	const json_t *value;
	size_t i;

	if (name_line(out, "session", json_object_get(config, "session"), fault) < 0 ||
	    name_line(out, "hostname", json_object_get(config, "hostname"), fault) < 0) {
		return -EREMOTEIO;
	}
	if (!json_is_array(keys) || json_array_size(keys) > LIST_MAX) {
		return bad(fault, "keys");
	}
	if (!json_is_array(targets) || json_array_size(targets) > LIST_MAX) {
		return bad(fault, "targets");
	}
	if (!json_is_array(stacks) || json_array_size(stacks) > LIST_MAX) {
		return bad(fault, "stacks");
	}
	if (json_array_size(ports) > LIST_MAX) {
		return bad(fault, "ports");
	}
	if (lease_s < 0 || buf_printf(out, "lease %" PRIu64 "\n", (uint64_t)lease_s) < 0) {
		return bad(fault, "lease");
	}
	json_array_foreach(keys, i, value)
	{
		if (key_line(out, value, fault) < 0) {
			return -EREMOTEIO;
		}
	}
	json_array_foreach(targets, i, value)
	{
		if (target_line(out, i, value, fault) < 0) {
			return -EREMOTEIO;
		}
	}
	json_array_foreach(ports, i, value)
	{
		if (port_line(out, value, fault) < 0) {
			return -EREMOTEIO;
		}
	}
	json_array_foreach(stacks, i, value)
	{
		if (name_line(out, "stack", value, fault) < 0) {
			return -EREMOTEIO;
		}
	}
	return 0;
}

int agent_config_finish(struct buf *out)
{
	usec_t now = clock_realtime();
	uint8_t seed[SEED_BYTES];
	char hex[2 * SEED_BYTES + 1];

	random_bytes(seed, sizeof(seed));
	hex_encode(seed, sizeof(seed), hex);
	return buf_printf(out, "clock %" PRIu64 ".%06" PRIu64 "\nseed %s\nend\n",
			  now / USEC_PER_SEC, now % USEC_PER_SEC, hex);
}
