/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a console down as asciicast v2: a header line, then one line for each piece of output
 * ("o"), gap or change of the source ("m", a marker), or change of the terminal's size ("r"). Bytes
 * that are no UTF-8 become U+FFFD.
 *
 * Theory of operation: beside the recording there is one page of state in a shared mapping: up to
 * where the stream is in the file, and how long the file is then. A line is written first, then the
 * page tells of it in one store. So after a SIGKILL at any instruction the next process cuts the
 * file back to what the page says and asks the stream to go on there: no byte is missing or twice.
 * A full disk or the limit ends the recording, never the caller.
 */
#pragma once

#include <stdbool.h>

#include "buf.h"
#include "fault.h"

#define RECORDER_BYTES_MAX ((uint64_t)256 * 1024 * 1024)

struct recorder;

struct recorder_options {
	unsigned columns, rows; /* for the header, 1..1000 */
	uint64_t max_bytes;	/* 1024 or more */
	const char *full; /* what the last line says then, short and plain; NULL: that it is */
};

/* Takes both fds. `now`: CLOCK_REALTIME. -EBADMSG when the two files do not belong together;
 * -ENOSPC. */
int recorder_open_take(int cast_fd, int state_fd, const struct recorder_options *options,
		       usec_t now, struct recorder **ret) _must_check_;
struct recorder *recorder_close(struct recorder *r);

/* Where the stream must go on, TUNNEL_FROM_KEPT for a new recording. */
uint64_t recorder_offset(const struct recorder *r);
uint64_t recorder_bytes(const struct recorder *r);
uint64_t recorder_limit(const struct recorder *r);
/* 1024 or more; one that is passed already is reached with the next line. */
void recorder_limit_set(struct recorder *r, uint64_t max_bytes);
/* FAULT_NONE while it records; else why it stopped: FAULT_DISK_FULL, FAULT_QUOTA, FAULT_INTERNAL.
 */
enum fault_code recorder_stopped(const struct recorder *r);

/* The stream is there, from byte `start` on. */
void recorder_start(struct recorder *r, uint64_t start, usec_t now);
void recorder_data(struct recorder *r, const void *p, size_t len, usec_t now);
/* length 0: unknown */
void recorder_gap(struct recorder *r, uint64_t length, usec_t now);
/* The terminal on which the console is seen has another size ("r"); ignored when it has not, or for
 * what is no size (1..1000). */
void recorder_resize(struct recorder *r, unsigned columns, unsigned rows, usec_t now);
void recorder_source(struct recorder *r, bool up, usec_t now);
