/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a console's bytes is shown, and how: as they come, or by line where lines are chosen by a
 * pattern or begin with their time. Everything shown goes to stdout and, where there is one, to a
 * log.
 */
#pragma once

#include <regex.h>
#include <stdbool.h>

#include "buf.h"
#include "fault.h"

/* A line that is longer is dealt with in pieces of this size. */
#define SHOWN_LINE_MAX 8192

struct shown {
	int log_fd; /* -1: none */
	bool greps;
	regex_t grep;
	bool stamps;		/* each line begins with its time */
	usec_t now;		/* when what comes is said, set by the caller */
	usec_t line_at;		/* when the line that comes began */
	bool in_line;		/* its time stands there already */
	struct buf line, plain; /* where lines are chosen: the one that comes, as it is and without
				   what only moves the cursor or colours */
};

/* `log`: a file to append to; `grep`: an extended regular expression; both may be NULL. */
int shown_init(struct shown *s, const char *log, const char *grep,
	       struct fault *fault) _must_check_;
void shown_fini(struct shown *s);
/* -errno of a write; stdout's -EPIPE among them. */
int shown_bytes(struct shown *s, const uint8_t *p, size_t len) _must_check_;
/* Nothing more comes: a line without its end is a line. */
int shown_end(struct shown *s) _must_check_;
