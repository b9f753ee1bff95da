/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a log that its writer rotates: PATH, before it PATH.0, before that PATH.1 … */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "macro.h"

/* virtlogd keeps 3 beside PATH unless told otherwise. */
#define LOG_CHAIN_MAX 32

struct log_chain {
	int fds[LOG_CHAIN_MAX]; /* in the order they were written in, PATH last */
	size_t n_fds;
	bool known; /* the first is the file that was asked for */
};

/*
 * Opens the file that was read last (`device`, `inode`) and all that were begun since; all that are
 * kept where it is not among them; PATH alone where none was read (`inode` 0). Waits up to a second
 * for a PATH that is not there, as between two steps of a rotation. Blocks. -ENOENT, -EAGAIN (they
 * never stood still), -errno of open().
 */
int log_chain_open(const char *path, uint64_t device, uint64_t inode,
		   struct log_chain *ret) _must_check_;
/* Closes what is still in it. */
void log_chain_fini(struct log_chain *chain);
