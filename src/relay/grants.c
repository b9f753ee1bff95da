/* SPDX-License-Identifier: Apache-2.0 */
/* Tickets that were announced to this relay. */
#include "grants.h"

#include <string.h>

#include "parse.h"

static bool is_live(const struct grant *g, usec_t now)
{
	return g->expires > now;
}

enum fault_code grants_add(struct grants *gs, const struct grant *g, usec_t now)
{
	struct grant *slot = NULL;

	for (size_t i = 0; i < GRANTS_MAX; i++) {
		struct grant *known = &gs->slots[i];

		if (is_live(known, now) && secret_equal(known->ticket, g->ticket)) {
			slot = known;
			break;
		}
		if (!slot && !is_live(known, now)) {
			slot = known;
		}
	}
	if (!slot) {
		return FAULT_QUOTA;
	}
	*slot = *g;
	return FAULT_NONE;
}

bool grants_redeem(struct grants *gs, const char *ticket, usec_t now, struct grant *ret)
{
	bool found = false;

	/* All of them each time: the time tells nothing about which it was. */
	for (size_t i = 0; i < GRANTS_MAX; i++) {
		struct grant *g = &gs->slots[i];

		if (secret_equal(g->ticket, ticket) && is_live(g, now)) {
			*ret = *g;
			memset(g, 0, sizeof(*g));
			found = true;
		}
	}
	return found;
}

size_t grants_count(const struct grants *gs, usec_t now)
{
	size_t n = 0;

	for (size_t i = 0; i < GRANTS_MAX; i++) {
		n += is_live(&gs->slots[i], now);
	}
	return n;
}
