/* SPDX-License-Identifier: Apache-2.0 */
/* The recording of a kept console: one more reader of the hub, from file to file. */
#pragma once

#include <jansson.h>

#include "recorder.h"
#include "relay.h"

struct history;

/*
 * Takes both fds. Makes relay->history if need be; there must be a hub. The stream goes on in this
 * file where the state says, else where the former file ended, else with all that is kept. The same
 * name again while it records: nothing changes. -EBADMSG when the two files do not belong together.
 */
int history_open_take(struct relay *relay, const char *name, const struct recorder_options *options,
		      int cast_fd, int state_fd) _must_check_;
/* Before the hub goes. */
struct history *history_free(struct history *h);
/* {"name","bytes","max_bytes","offset","stopped"}; null for none. */
json_t *history_status(const struct history *h);
