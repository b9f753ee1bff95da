/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recordings of kept consoles: files of asciicast v2 in STATE/consoles/VM, each an eighth of
 * what a VM may have, the oldest of which goes when a new one is to come. In a worker.
 */
#pragma once

#include <jansson.h>

#include "hostd.h"

#define HISTORY_SUFFIX ".cast"

/*
 * Sees to it that the VM's relay records: after a start of ours or of the relay, when a file is
 * full, and when the disk is. What cannot be done now is told to the log and dvmd, and tried again
 * when the relay says so (`again`: once more, and nothing was recorded meanwhile). Operations on
 * one VM run one after the other.
 */
void history_refresh(struct hostd *h, const char *vm, bool again);
/* At our start: brings what is there below the limits, which may be others than they were. */
void history_trim(struct hostd *h);
/* [{"name","size_bytes","format","begun","offset"}], the oldest first: PROTOCOL.host. NULL: no
 * memory. */
json_t *history_list(struct hostd *h, const char *vm);
/* {"bytes","since","stopped"} */
json_t *history_summary(struct hostd *h, const char *vm);
/* One of them; -errno. */
int history_part_open(const struct hostd *h, const char *vm, const char *name) _must_check_;
