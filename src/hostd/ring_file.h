/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of a console's scrollback, STATE/consoles/VM/ring, and the one that is to take its
 * place, ring.new, when it is to have another size. The relay fills them (PROTOCOL.relay:
 * hub.open); here they are opened and renamed. Belongs to the loop's thread.
 */
#pragma once

#include "hostd.h"

struct ring_files {
	int fd, next_fd; /* -1: none is needed */
};

/* `second`: the relay has a hub already that is to change, or its ring is not to be kept. */
int ring_files_open(const struct hostd *h, const char *vm, bool second,
		    struct ring_files *ret) _must_check_;
/* After hub.open: the relay goes on with the second file, or with the first. */
int ring_files_settle(const struct hostd *h, const char *vm, bool next) _must_check_;
/* After a predecessor of ours that died in between: the relay's hub has a ring of so many bytes in
 * its file (0: none is kept). */
int ring_files_settle_by_size(const struct hostd *h, const char *vm,
			      uint64_t kept_bytes) _must_check_;
