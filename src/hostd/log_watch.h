/* SPDX-License-Identifier: Apache-2.0 */
/* Watches the files that consoles are read from, for the moment another takes their place. */
#pragma once

#include "hostd.h"

struct log_watches;

int log_watches_new(struct hostd *h, struct log_watches **ret) _must_check_;
struct log_watches *log_watches_free(struct log_watches *w);

/* `fd` (borrowed) is the file that the console of `vm` is read from now; -1: none is. When it is
 * renamed or removed, and once soon, console_refresh_start() is called. In a worker. */
void log_watch_set(struct hostd *h, const char *vm, int fd);
