/* SPDX-License-Identifier: Apache-2.0 */
/* What makes up dvmd. Everything runs on one loop in one thread; each part borrows this struct and
 * what it holds. */
#pragma once

#include <systemd/sd-event.h>

#include "config.h"

struct dvmd {
	sd_event *event;
	const char *state_dir; /* STATE */
	char *run_dir;	       /* STATE/run */
	struct config config;
	bool door; /* the SSH door may come, as these users (PROTOCOL.door) */
	uid_t door_lookup, door_login;
	struct metrics *metrics;
	struct store *store;
	struct events *events;
	struct identity *identity;
	struct host_link *host;
	struct cloud *cloud;
	struct engine *engine;
	struct tickets *tickets;
	struct debuggers *debuggers;
	unsigned n_screenshots; /* under way (screen_ops.h) */
	unsigned n_prepares;	/* not begun yet (prepare.h) */
	struct api *api;	/* HTTP, the ticket socket, the SSH door's (api.h) */
};
