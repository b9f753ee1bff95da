/* SPDX-License-Identifier: Apache-2.0 */
/* SSH connections: one SSH server for each `ssh` channel. */
#pragma once

#include <sys/types.h>

#include "chan.h"
#include "loop.h"

struct agent;

struct ssh {
	struct agent *agent;
	struct list connections;
	size_t n_connections;
	struct source spare; /* our end of the server that waits for the next connection */
	bool spare_answers;  /* its greeting has been seen */
	struct timer again;  /* start a spare again */
	int failures;	     /* in a row */
};

int ssh_init(struct ssh *s, struct agent *a) _must_check_;
void ssh_fini(struct ssh *s);
int ssh_accept(struct ssh *s, struct tunnel_link *l, uint16_t channel) _must_check_;
void ssh_prepare(struct ssh *s);
