/* SPDX-License-Identifier: Apache-2.0 */
/* What one relay process holds. Its parts find each other through it; each is made by the method
 * that brings its fd. */
#pragma once

#include <systemd/sd-event.h>

#include "grants.h"
#include "list.h"
#include "ring.h"

/* Of channels, buffers and connections a relay has at most so many, whoever asks. */
#define RELAY_NAME_MAX 96
#define RELAY_UPSTREAMS_MAX 32
#define RELAY_RECORDS_MAX 32
/* Open fds, where the system gives as many: half of them for users' connections, half for pipes. */
#define RELAY_FILES_MAX 131072
#define RELAY_OUTPUT_MAX ((size_t)8 * 1024 * 1024) /* a connection's output; see switch.c */

struct relay {
	char name[RELAY_NAME_MAX + 1];
	sd_event *event;
	struct poll_set *poll; /* for what there may be thousands of */
	uint8_t boot_id[RING_BOOT_ID_BYTES];
	struct control *control;
	struct hub *hub; /* a console's relay; else NULL */
	struct hub_source *source;
	struct history *history; /* the hub's recording; NULL: none */
	struct agent *agent;	 /* a session's relay; else NULL */
	struct list displays;	 /* struct display_channel: viewers of the VM's display */
	unsigned n_displays;
	struct gdb_service *gdb;   /* the VM's gdb stub; NULL: off */
	struct list upstreams;	   /* struct upstream */
	struct list records;	   /* struct record */
	struct list raw_ports;	   /* struct raw_port */
	struct map *pipes;	   /* struct pipe by name; made with the first */
	size_t files_max;
	struct grants grants;
	struct streams *streams;
	unsigned verbs_running;
};

/* Makes an empty one; the loop is the caller's. Ahead of the walls. */
int relay_init(struct relay *r, sd_event *event, const char *name) _must_check_;
/* Ends all connections, then closes the scrollback in order. */
void relay_fini(struct relay *r);
