/* SPDX-License-Identifier: Apache-2.0 */
/* The loop of a program that others are children of. */
#pragma once

#include <systemd/sd-event.h>

/*
 * A loop in which SIGCHLD calls `on_child`, SIGTERM and SIGINT `on_end`; all three are blocked from
 * here on, also in children, who have to unblock them. What children leave behind becomes a child
 * of this process. `*ret` is also set, and the caller's, where it fails.
 */
int parent_loop_new(sd_event_signal_handler_t on_child, sd_event_signal_handler_t on_end,
		    void *user, sd_event **ret);
