/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSH's sshd as the door needs it: its configuration, its host key, and how one is started for
 * a connection.
 */
#pragma once

#include "door.h"
#include "fault.h"

struct sshd_options {
	const char *state, *account;
	const char *door; /* dvm-door itself */
	struct door_place place;
};

/* Writes STATE/door/sshd_config, makes STATE/door/host_key at the first start, and lets sshd check
 * both. */
int sshd_prepare(const struct sshd_options *o, struct fault *fault) _must_check_;
/* In a child: becomes the sshd of the connection `fd`. Returns only where that fails: -errno. */
int sshd_exec(const struct sshd_options *o, int fd);
