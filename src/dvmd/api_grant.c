/* SPDX-License-Identifier: Apache-2.0 */
/* For whom a token or a key is made, and what it may let through. */
#include "api_grant.h"

#include <errno.h>
#include <string.h>

#include "access.h"

int api_grant_user(struct api_call *c, const char *name, struct user_row *ret, struct fault *fault)
{
	int r;

	if (!name) {
		name = c->who.user_name;
	}
	if (strcmp(name, c->who.user_name) != 0) {
		r = access_check_admin(c->d, &c->who, c->route->action, fault);
		if (r < 0) {
			return r;
		}
	}
	r = store_user_get(c->d->store, name, ret, fault);
	if (r == -ENOENT) {
		fault_set(fault, FAULT_NOT_FOUND, "There is no user `%s`", name);
		return api_refused(c, name, fault);
	}
	return r;
}

int api_grant_rights(struct api_call *c, unsigned asked, unsigned *ret, struct fault *fault)
{
	struct token_row own;
	int r = store_token_get(c->d->store, c->who.token, &own, fault);

	if (r == -ENOENT) {
		return fault_set(fault, FAULT_UNAUTHENTICATED, "The token is not valid");
	}
	if (r < 0) {
		return r;
	}
	if (own.key[0]) {
		fault_set(fault, FAULT_FORBIDDEN,
			  "A login over SSH cannot make tokens or add keys");
		fault_hint(fault, "Use the command line with a token of your own.");
		return api_refused(c, "", fault);
	}
	if (!json_object_get(c->json, "rights")) {
		*ret = own.rights;
		return 0;
	}
	if (asked & ~own.rights) {
		fault_set(fault, FAULT_FORBIDDEN,
			  "It cannot have more rights than the token it is made with");
		fault_hint(fault,
			   "Leave out rights that `dvm token list` does not show for yours.");
		return api_refused(c, "", fault);
	}
	*ret = asked;
	return 0;
}
