/* SPDX-License-Identifier: Apache-2.0 */
/* What a ticket allows on a stream. */
#include "policy.h"

#include <errno.h>
#include <string.h>

static const struct {
	const char *name;
	uint8_t mode;
} modes[] = {
	{ "r", TUNNEL_MODE_READ },
	{ "rw", TUNNEL_MODE_READ | TUNNEL_MODE_WRITE },
	{ "take", TUNNEL_MODE_READ | TUNNEL_MODE_WRITE | TUNNEL_MODE_TAKE },
};

int policy_mode_parse(const char *name, uint8_t *ret_mode)
{
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(modes[i].name, name) == 0) {
			*ret_mode = modes[i].mode;
			return 0;
		}
	}
	return -EINVAL;
}

enum fault_code policy_mode(uint8_t allowed, uint8_t asked, uint8_t *ret_mode)
{
	uint8_t mode = allowed & asked;

	switch (asked) {
	case TUNNEL_MODE_READ:
	case TUNNEL_MODE_WRITE:
	case TUNNEL_MODE_READ | TUNNEL_MODE_WRITE:
	case TUNNEL_MODE_READ | TUNNEL_MODE_WRITE | TUNNEL_MODE_TAKE:
		break;
	default:
		return FAULT_PROTOCOL;
	}
	if ((mode & (TUNNEL_MODE_READ | TUNNEL_MODE_WRITE)) == 0) {
		return FAULT_FORBIDDEN;
	}
	*ret_mode = mode;
	return FAULT_NONE;
}
