/* SPDX-License-Identifier: Apache-2.0 */
/* The gate: its listeners, its connections, and how many there may be. */
#pragma once

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "config.h"
#include "list.h"
#include "listen.h"
#include "tls.h"

/* Paths relative to the working folder, which is STATE/run. */
#define GATE_API_SOCKET "api.sock"
#define GATE_TICKET_SOCKET "ticket.sock"

struct gate {
	sd_event *event;
	const struct gate_config *config;
	struct tls_server *tls;

	sd_event_source *listeners[GATE_LISTENERS_MAX];
	size_t n_listeners;
	sd_event_source *reaper, *pause, *drain, *signals[2];
	struct list conns, dead; /* struct conn */
	size_t n_conns;
	bool draining;
};

/* Borrows all it is given; takes the listening fds. */
int gate_new(sd_event *event, const struct gate_config *config, struct tls_server *tls,
	     const int *listen_fds, size_t n_listen_fds, struct gate **ret) _must_check_;
struct gate *gate_free(struct gate *g);

/* The connection is over; it is freed when no callback runs. */
struct conn;
void gate_retire(struct gate *g, struct conn *c);
