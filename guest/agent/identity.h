/* SPDX-License-Identifier: Apache-2.0 */
/* Whose D-VM this is: the `config` channel, and what follows from it. */
#pragma once

#include "chan.h"
#include "config.h"

struct agent;

struct identity {
	struct agent *agent;
	struct chan chan;
	struct config_reader reader;
	struct config config; /* the last complete one */
	bool configured;
	struct buf out; /* lines that wait for credit */
	char *hostkey;	/* public half */
	bool ssh_up, ready_sent;
	const char *failure; /* static text: why this D-VM will never be ready */
	bool failure_sent;
};

int identity_init(struct identity *id, struct agent *a) _must_check_;
void identity_fini(struct identity *id);
/* The relay opened `config`. */
int identity_accept(struct identity *id, struct tunnel_link *l, uint16_t channel) _must_check_;
/* The SSH server answers, or never will (`failure`: static text). */
void identity_ssh_state(struct identity *id, bool up, const char *failure);
/* Stacks came. */
void identity_stacks_changed(struct identity *id);
/* The name of target number `n`, NULL if there is none. */
const char *identity_target(const struct identity *id, size_t n);
/* What the agent knows about the session, as a JSON object in one line; appended to `out`. */
int identity_json(const struct identity *id, struct buf *out) _must_check_;
