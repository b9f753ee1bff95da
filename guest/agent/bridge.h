/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joins a channel of the relay's to a socket of a program in the D-VM: bytes both ways, credit for
 * what the program has taken, at most BRIDGE_WINDOW of them kept here. What ends one side ends the
 * other: the bridge is dead then, and its owner frees it when the loop comes round.
 */
#pragma once

#include <stdbool.h>

#include "buf.h"
#include "chan.h"
#include "list.h"
#include "loop.h"

#define BRIDGE_WINDOW (256 * 1024)

struct bridge {
	struct list list; /* the owner's */
	struct chan chan;
	struct source source; /* the program */
	struct buf in;	      /* from the relay, to the program */
	bool in_eof;	      /* the relay sends no more */
	bool dead;
};

/* Both take `fd`, also on failure; the bridge needs no bridge_fini() then. */

/* For a channel that the relay opens: answers it. */
int bridge_accept_take(struct bridge *b, struct loop *l, int fd, struct tunnel_link *link,
		       uint16_t channel) _must_check_;
/* Opens one, for reading and writing; refused, the bridge is dead. */
int bridge_open_take(struct bridge *b, struct loop *l, int fd, struct tunnel_link *link,
		     const char *service) _must_check_;
void bridge_end(struct bridge *b, const char *reason);
void bridge_fini(struct bridge *b);
/* Says what to poll for; not for one that is dead. */
void bridge_prepare(struct bridge *b);
