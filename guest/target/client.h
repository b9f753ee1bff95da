/* SPDX-License-Identifier: Apache-2.0 */
/* The way to the agent in this D-VM, and through it to the relay. Blocking, with time limits. */
#pragma once

#include "fault.h"
#include "tunnel_link.h"
#include "verb.h"

struct client {
	int fd;
	struct tunnel_link *link;
	bool lost;
};

/* Connects and shakes hands. On failure fills the fault. 0 or -errno. */
int client_connect(struct client *c, const struct tunnel_link_ops *ops, void *user,
		   struct fault *ret_fault) _must_check_;
void client_close(struct client *c);
/*
 * One turn: waits for the agent or for `extra_fd` (-1: none) to be readable, at most `timeout_ms`,
 * and moves bytes. Returns true when extra_fd is readable (or at its end). Sets c->lost when the
 * agent went away.
 */
bool client_turn(struct client *c, int extra_fd, int timeout_ms);

/* Sends a verb's line (without newline) and waits for its answer. Returns 0 and the text of `ok`
 * (to be freed); or -EREMOTEIO with the fault. Notes go to stderr as they come. */
int client_verb(const char *line, char **ret_text, struct fault *ret_fault) _must_check_;
/* What the agent itself knows: a JSON object (see local.h of the agent). */
int client_agent(char **ret_json, struct fault *ret_fault) _must_check_;
/* Resolves -t: `wanted` if the session has such a target, its first one if NULL. */
int client_target(const char *wanted, char ret_name[64], struct fault *ret_fault) _must_check_;
