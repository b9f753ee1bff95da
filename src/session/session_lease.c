/* SPDX-License-Identifier: Apache-2.0 */
/* Lease arithmetic. */
#include "session_lease.h"

usec_t session_lease_grant(usec_t wished, usec_t by_default, usec_t max)
{
	usec_t length = wished ? wished : by_default;

	length = MIN(length, max);
	return MAX(length, SESSION_LEASE_MIN);
}

usec_t session_lease_renewed(usec_t now, usec_t expires, usec_t length)
{
	return MAX(expires, now + length);
}

bool session_lease_worth(usec_t now, usec_t expires, usec_t length)
{
	return now + length > expires && now + length - expires >= length / 20;
}

usec_t session_lease_warning_at(usec_t expires, usec_t length)
{
	return expires - MIN(SESSION_LEASE_WARNING, length / 4);
}
