/* SPDX-License-Identifier: Apache-2.0 */
/* The SSH door's port and accounts. */
#include "door_options.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "parse.h"

#define SSHD_ACCOUNT "sshd"

static int as_root(const char *account, struct door_options *o, struct fault *fault)
{
	const struct passwd *p = getpwnam(account);

	if (!p) {
		fault_set(fault, FAULT_NOT_SUPPORTED,
			  "there is no account \"%.60s\" for the SSH door", account);
		fault_hint(fault,
			   "useradd --system --home-dir / --shell /bin/sh --password '*' %.60s",
			   account);
		return -EREMOTEIO;
	}
	if (p->pw_uid == 0) {
		return fault_set(fault, FAULT_BAD_VALUE, "the SSH door's account must not be root");
	}
	o->login = p->pw_uid;
	snprintf(o->account, sizeof(o->account), "%s", p->pw_name);
	p = getpwnam(SSHD_ACCOUNT);
	if (!p) {
		fault_set(fault, FAULT_NOT_SUPPORTED, "OpenSSH's sshd is not installed");
		fault_hint(fault, "Debian has it in openssh-server");
		return -EREMOTEIO;
	}
	o->lookup = p->pw_uid;
	/* A login could look keys up, and be anybody's. */
	return o->lookup == o->login || o->lookup == 0
		       ? fault_set(fault, FAULT_BAD_VALUE,
				   "the SSH door needs an account of its own, not sshd's")
		       : 0;
}

int door_options_make(const char *port, const char *account, struct door_options *ret,
		      struct fault *fault)
{
	struct door_options o = { 0 };
	const struct passwd *p;
	uint32_t number;
	int r;

	if (parse_u32(port, &number) < 0 || number > UINT16_MAX) {
		return fault_set(fault, FAULT_BAD_VALUE, "--ssh-port \"%.40s\" is not a port",
				 port);
	}
	o.port = (uint16_t)number;
	if (geteuid() == 0) {
		r = as_root(account ? account : DOOR_ACCOUNT, &o, fault);
		if (r < 0) {
			return r;
		}
	} else {
		p = getpwuid(geteuid());
		if (!p) {
			return fault_set(fault, FAULT_NOT_SUPPORTED,
					 "you have no account that the SSH door could use");
		}
		o.lookup = o.login = p->pw_uid;
		snprintf(o.account, sizeof(o.account), "%s", p->pw_name);
	}
	*ret = o;
	return 0;
}
