/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user's SSH key for D-VMs: the one he names, else ~/.ssh/id_ed25519, else one of dvm's own,
 * made with ssh-keygen under ~/.config/dvm when it is first needed.
 */
#pragma once

#include "fault.h"

#define SSH_KEY_MAX 8000

/* `file` (may be NULL) names the private or the public half. *ret_public: one line as in
 * authorized_keys; *ret_identity: the private half's path, or NULL where there is none (it may be
 * in an agent). */
int ssh_key_for_session(const char *file, char **ret_public, char **ret_identity,
			struct fault *fault) _must_check_;

/* The private halves that exist and that dvm may have named to a session, at most
 * SSH_IDENTITIES_MAX, NULL-ended. */
#define SSH_IDENTITIES_MAX 2
int ssh_key_identities(char *ret[SSH_IDENTITIES_MAX + 1], struct fault *fault) _must_check_;
