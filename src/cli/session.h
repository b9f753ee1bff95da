/* SPDX-License-Identifier: Apache-2.0 */
/* What several commands do with a session. */
#pragma once

#include <jansson.h>

#include "cli.h"

/* A session as users write it, "s-…", "s-….dvm" or "root@s-….dvm", into its id. */
int session_id(const char *word, char **ret, struct fault *fault) _must_check_;
int session_get(struct cli *cli, const char *word, json_t **ret, struct fault *fault) _must_check_;
/* Name of the target that `vm`, an id or a name, means; NULL: none of the session's. */
const char *session_target(const json_t *session, const char *vm);
/* True when nothing more happens in this state ("ended", "failed"). */
bool session_is_over(const json_t *session);

enum session_wait { SESSION_WAIT_READY, SESSION_WAIT_ENDED };

/* Follows the session until it is ready, or ended; prints each step of its timeline as it happens
 * when `steps`. *ret (may be NULL) is the session then. A session that fails before it was ready is
 * a fault: the session's own. */
int session_wait(struct cli *cli, const char *id, enum session_wait until, usec_t timeout,
		 bool steps, json_t **ret, struct fault *fault) _must_check_;
