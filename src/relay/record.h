/* SPDX-License-Identifier: Apache-2.0 */
/* Recordings: each is one more reader of a target's console. */
#pragma once

#include "recorder.h"
#include "relay.h"

/* Takes both fds. The same name again while it records: nothing changes. */
int record_open_take(struct relay *relay, const char *name, const char *upstream,
		     const struct recorder_options *options, int cast_fd,
		     int state_fd) _must_check_;
/* The link to that console is up. */
void records_resume(struct relay *relay, const char *upstream);
/* The `i`th recording; false behind the last. */
bool record_status(const struct relay *relay, size_t i, const char **ret_name, uint64_t *ret_bytes,
		   enum fault_code *ret_stopped);
void records_free(struct relay *relay);
