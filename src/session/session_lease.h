/* SPDX-License-Identifier: Apache-2.0 */
/* Lease arithmetic. All times are CLOCK_REALTIME, since leases outlive a restart of dvmd. */
#pragma once

#include <stdbool.h>

#include "macro.h"

#define SESSION_LEASE_MIN (60 * USEC_PER_SEC)
#define SESSION_LEASE_WARNING (300 * USEC_PER_SEC)

/* Length granted for a wish of `wished` (0: the default): between SESSION_LEASE_MIN and `max`. */
usec_t session_lease_grant(usec_t wished, usec_t by_default, usec_t max);
/* Expiry after a use at `now`; never earlier than `expires`. */
usec_t session_lease_renewed(usec_t now, usec_t expires, usec_t length);
/* True where a use at `now` moves the expiry far enough to be worth a write (a twentieth of the
 * lease). */
bool session_lease_worth(usec_t now, usec_t expires, usec_t length);
/* When the user is to be warned: SESSION_LEASE_WARNING before the end, or a quarter of a short
 * lease. */
usec_t session_lease_warning_at(usec_t expires, usec_t length);
