/* SPDX-License-Identifier: Apache-2.0 */
/* For whom a token or a key is made, and what it may let through: never more than what it is made
 * with. */
#pragma once

#include "api_call.h"

/* Oneself (NULL), or with an administrator's right anybody. */
int api_grant_user(struct api_call *c, const char *name, struct user_row *ret,
		   struct fault *fault) _must_check_;
/* `asked` where the body has "rights", else all of the token it is made with. The login over SSH
 * makes none: what it made would outlive its key. */
int api_grant_rights(struct api_call *c, unsigned asked, unsigned *ret,
		     struct fault *fault) _must_check_;
