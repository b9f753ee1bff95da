/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file on its way to a console, as it is.
 *
 * Theory of operation: the pace is kept by the hub, beside the guest. Where asked to, no more than
 * PASTE_AHEAD bytes go that the guest has not echoed: what its line discipline dropped is noticed
 * then, for the echo stops. The echo is looked for byte by byte, and what else the guest says in
 * between is no matter: a newline that becomes two bytes, a prompt. Control characters but the ends
 * of lines are not waited for: they are echoed in other ways, or not.
 */
#pragma once

#include <stdbool.h>

#include "buf.h"
#include "clock.h"
#include "fault.h"
#include "typed.h"

#define PASTE_AHEAD 64
#define PASTE_PATIENCE (10 * USEC_PER_SEC)

struct paste {
	int fd; /* -1: none, or all of it is read */
	bool echo;
	struct buf awaited; /* echo that has not come */
	uint64_t bytes;	    /* read */
	usec_t moved;	    /* when the last echo came */
};

void paste_init(struct paste *p);
void paste_fini(struct paste *p);
/* Bad-value where the file cannot be read. */
int paste_open(struct paste *p, const char *file, bool echo, struct fault *fault) _must_check_;
/* Reads as much as may go now into `typed`. -errno of the file. */
int paste_go(struct paste *p, struct typed *typed, usec_t now) _must_check_;
/* Whether paste_go() would read something. */
bool paste_wants(const struct paste *p, const struct typed *typed);
/* What the guest said. */
void paste_said(struct paste *p, const uint8_t *bytes, size_t len, usec_t now);
/* The file is read, and its echo has come where it is waited for. */
bool paste_is_over(const struct paste *p);
/* When it has waited for an echo in vain; USEC_INFINITY. */
usec_t paste_deadline(const struct paste *p);
