/* SPDX-License-Identifier: Apache-2.0 */
/* Of the SSH door: its port, the account that users log in to, and who looks keys up. */
#pragma once

#include <sys/types.h>

#include "fault.h"

#define DOOR_ACCOUNT "dvm" /* as root, unless [door] account says another one */
#define DOOR_ACCOUNT_MAX 64

struct door_options {
	uint16_t port;
	char account[DOOR_ACCOUNT_MAX];
	uid_t lookup, login; /* PROTOCOL.door */
};

/* `account` NULL: DOOR_ACCOUNT; as an ordinary user it is his own, whatever is given. */
int door_options_make(const char *port, const char *account, struct door_options *ret,
		      struct fault *fault) _must_check_;
