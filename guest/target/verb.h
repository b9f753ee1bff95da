/* SPDX-License-Identifier: Apache-2.0 */
/* Answers to a verb (PROTOCOL.agent §3): bytes in, an answer out. Pure. */
#pragma once

#include "buf.h"
#include "fault.h"

#define VERB_LINE_MAX 8192

struct verb_reader {
	struct buf line;
	bool done;
	struct fault fault;			    /* code FAULT_NONE: `ok` */
	char *text;				    /* of `ok`, "" if none */
	void (*note)(const char *text, void *user); /* may be NULL */
	void *user;
};

void verb_reader_init(struct verb_reader *r, void (*note)(const char *text, void *user),
		      void *user);
void verb_reader_fini(struct verb_reader *r);
/* 0; -EPROTO for lines that are none of the three; -ENOMEM. Sets `done` with the last line. */
int verb_reader_input(struct verb_reader *r, const uint8_t *p, size_t len) _must_check_;
