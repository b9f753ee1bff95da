/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is typed, on its way to the source: how much of the queue may go now, and when a break is
 * due. Pure; the caller has the queue and the clock.
 *
 * Theory of operation: a break has its place in the stream of typed bytes. It is due when all bytes
 * before it have gone and have had a moment to be read: a UART's receiver marks whatever stands in
 * its FIFO with a break, and a kernel takes the next byte for a SysRq key. While a break is under
 * way nothing else goes.
 */
#pragma once

#include <stdbool.h>

#include "clock.h"

#define TYPIST_BREAKS_MAX 8
/* What a 16550's FIFO holds: so much goes at once where the line is paced. */
#define TYPIST_CHUNK ((size_t)16)
#define TYPIST_SETTLE (50 * USEC_PER_MSEC)

struct typist {
	uint32_t rate;	/* bytes a second; 0: as they come */
	usec_t free_at; /* when the line is free again */
	usec_t last;	/* when something went last */
	uint64_t gone;	/* bytes, since ever */
	bool breaking;	/* the first break is under way */
	size_t n_breaks;
	struct {
		uint64_t at; /* after so many bytes */
		void *who;   /* NULL: nobody wants to know any more */
	} breaks[TYPIST_BREAKS_MAX];
};

enum typist_step {
	TYPIST_NOTHING, /* until the queue or the breaks change */
	TYPIST_WRITE,	/* *ret_len bytes may go */
	TYPIST_WAIT,	/* ask again at *ret_at */
	TYPIST_BREAK,	/* it is due: typist_break_begin() */
};

/* A zeroed one is fine, too. */
void typist_init(struct typist *t);
void typist_pace(struct typist *t, uint32_t rate);
/* A break behind the `queued` bytes; false when too many wait. */
bool typist_break(struct typist *t, size_t queued, void *who);
/* `who` does not want to know any more; the break stays. */
void typist_forget(struct typist *t, const void *who);
/* `queued`: bytes in the queue. */
enum typist_step typist_next(const struct typist *t, usec_t now, size_t queued, size_t *ret_len,
			     usec_t *ret_at);
void typist_went(struct typist *t, usec_t now, size_t len);
/* Bytes were taken off the queue that did not go to the source. */
void typist_dropped(struct typist *t, size_t len);
void typist_break_begin(struct typist *t);
/* The first break is done with, or given up: true, and whose it was (may be NULL). */
bool typist_break_end(struct typist *t, void **ret_who);
