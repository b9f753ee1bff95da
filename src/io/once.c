/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A timer that belongs to the loop (it "floats") until it has fired. sd-event keeps such a source
 * for as long as the loop lives, fired or not, so it lets go of itself.
 */
#include "once.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#define ACCURACY (10 * USEC_PER_MSEC)

struct once {
	void (*fn)(void *user);
	void (*free_user)(void *user);
	void *user;
};

static int on_time(sd_event_source *source, uint64_t now, void *user)
{
	struct once *o = user;

	o->fn(o->user);
	sd_event_source_disable_unref(source);
	return 0;
}

static void once_free(void *user)
{
	struct once *o = user;

	if (o->free_user) {
		o->free_user(o->user);
	}
	free(o);
}

int once_later(sd_event *event, usec_t delay, void (*fn)(void *user), void (*free_user)(void *user),
	       void *user)
{
	struct once *o = malloc(sizeof(*o));
	sd_event_source *timer;
	int r;

	if (!o) {
		return -ENOMEM;
	}
	*o = (struct once){ .fn = fn, .free_user = free_user, .user = user };
	r = sd_event_add_time_relative(event, &timer, CLOCK_MONOTONIC, delay,
				       delay > 0 ? ACCURACY : 1, on_time, o);
	if (r < 0) {
		free(o);
		return r;
	}
	sd_event_source_set_destroy_callback(timer, once_free);
	sd_event_source_set_floating(timer, true);
	sd_event_source_unref(timer);
	return 0;
}
