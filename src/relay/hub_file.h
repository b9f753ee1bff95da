/* SPDX-License-Identifier: Apache-2.0 */
/* The file behind a hub's scrollback: opened, or replaced by one of another size. */
#pragma once

#include "relay.h"

struct hub_file_options {
	size_t size_bytes;
	bool writable; /* the stream's own rule */
	bool kept;     /* else what was said is there only while somebody reads */
};

/*
 * Makes relay->hub where there is none yet. `next_fd`: a second file, or -1. It is used where it
 * went on after the first did (the relay that made it is gone), or, made anew out of the first,
 * where the scrollback is to have another size, or to be kept other than it was; *ret_next tells.
 * Where there is no room for that it stays as it is, but for one that is not to be kept any more:
 * -ENOSPC; the recording of such a console ends. Both fds are borrowed.
 */
int hub_file_open(struct relay *relay, int fd, int next_fd, const struct hub_file_options *options,
		  bool *ret_next) _must_check_;
