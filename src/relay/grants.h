/* SPDX-License-Identifier: Apache-2.0 */
/* Tickets that were announced to this relay: each opens one stream, once. */
#pragma once

#include <stdbool.h>

#include "clock.h"
#include "fault.h"
#include "tunnel.h"

#define GRANTS_MAX 64

struct grant {
	char ticket[SECRET_LEN + 1];
	char service[TUNNEL_SERVICE_MAX + 1];
	uint8_t mode; /* set of enum tunnel_mode */
	bool raw;
	usec_t expires; /* 0: the slot is free */
};

struct grants {
	struct grant slots[GRANTS_MAX];
};

/* Copies `g`; the same ticket again replaces it. FAULT_QUOTA when too many wait. */
enum fault_code grants_add(struct grants *gs, const struct grant *g, usec_t now) _must_check_;
/* Burns the ticket. False when there is none such, or no longer. */
bool grants_redeem(struct grants *gs, const char *ticket, usec_t now,
		   struct grant *ret) _must_check_;
size_t grants_count(const struct grants *gs, usec_t now);
