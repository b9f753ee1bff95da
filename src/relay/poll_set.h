/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many fds as one source of the loop.
 *
 * sd-event asks the kernel about all ready fds for each one that it serves: with thousands of
 * connections that end in one moment this alone is seconds. Here all that are ready are asked for
 * once, and served one after the other.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "macro.h"

struct poll_set;

/* Embedded by whoever owns the fd. */
struct poll_item {
	struct poll_set *set;
	int fd;
	void (*ready)(struct poll_item *item, uint32_t events);
	bool watched;
	uint32_t events;
};

int poll_set_new(sd_event *event, struct poll_set **ret) _must_check_;
/* No item is watched any more. */
struct poll_set *poll_set_free(struct poll_set *set);

/* `fd` is borrowed. `ready` is called from the loop and may free the item, or any other, after
 * poll_item_off(). */
void poll_item_init(struct poll_item *item, struct poll_set *set, int fd,
		    void (*ready)(struct poll_item *item, uint32_t events));
/* Level-triggered. Errors and hang-ups come unasked, also where `events` is 0. */
int poll_item_watch(struct poll_item *item, uint32_t events) _must_check_;
/* Nothing comes any more, not even what has been asked for already. */
void poll_item_off(struct poll_item *item);
