/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the D-VM's SSH host key. */
#pragma once

#include <stdint.h>

#include "buf.h"
#include "macro.h"

/*
 * Makes an ed25519 key and writes it to `path` (mode 0600) as dropbear reads it. *ret_public is
 * "ssh-ed25519 BASE64". Done here rather than by dropbearkey: starting that program costs more than
 * all else at the agent's start.
 */
int hostkey_make(const char *path, char **ret_public) _must_check_;
/* The public text of the key that is in `path` already, kept beside it in `path`.pub by
 * hostkey_make(): an agent that was restarted goes on with its key, which the user's client has
 * pinned. -ENOENT if there is none. */
int hostkey_load(const char *path, char **ret_public) _must_check_;
/* Both for a given secret, for tests: the file's bytes are appended to `ret_private`. */
int hostkey_format(const uint8_t secret[32], struct buf *ret_private,
		   char **ret_public) _must_check_;
