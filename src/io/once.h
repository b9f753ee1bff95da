/* SPDX-License-Identifier: Apache-2.0 */
/* Something that the loop does once, later, and that nobody waits for. */
#pragma once

#include <systemd/sd-event.h>

#include "clock.h"
#include "macro.h"

/* Calls fn(user) after `delay` (0: as soon as the loop is back), then free_user(user) if it is not
 * NULL. A loop that ends before only does the latter. Negative errno: neither is called. */
int once_later(sd_event *event, usec_t delay, void (*fn)(void *user), void (*free_user)(void *user),
	       void *user) _must_check_;
