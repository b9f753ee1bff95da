/* SPDX-License-Identifier: Apache-2.0 */
/* What a VM's console said since a time, out of its recordings. */
#pragma once

#include "cli.h"

/* "10m" ago, or "2026-11-27T20:05:00Z". */
int past_time_parse(const char *s, usec_t *ret) _must_check_;

struct past_ops {
	/* What was said at that time; -errno to stop. */
	int (*said)(const uint8_t *p, size_t len, usec_t at, void *user);
	/* A word of the recording: what was lost, the console gone or back. */
	void (*note)(const char *text, void *user);
};

/* Tells everything recorded since then. *ret_from: where the console's stream goes on behind it;
 * TUNNEL_FROM_LIVE where that is not known: it is not recorded now. */
int past_tell(struct cli *cli, const char *vm, usec_t since, const struct past_ops *ops, void *user,
	      uint64_t *ret_from, struct fault *fault) _must_check_;
