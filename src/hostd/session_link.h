/* SPDX-License-Identifier: Apache-2.0 */
/* Brings a session's relay in line with session.json. For workers. */
#pragma once

#include <jansson.h>

#include "hostd.h"

/* Gives the relay whatever it lacks of what `state` says: the agent's port, consoles, recordings.
 */
int session_link(struct hostd *h, const char *session, const json_t *state, struct fault *fault);
/* One entry of "consoles", as far as the relay's `status` lacks it. */
int session_console_link(struct hostd *h, const char *session, const json_t *console,
			 const json_t *status, struct fault *fault);
/* One entry of "displays", likewise. */
int session_gdb_link(struct hostd *h, const char *session, const json_t *gdb, const json_t *status,
		     struct fault *fault) _must_check_;
int session_display_link(struct hostd *h, const char *session, const json_t *display,
			 const json_t *status, struct fault *fault);
/* Ports, as far as the relay's `status` lacks them; what cannot be is logged. */
void session_ports_link(struct hostd *h, const char *session, const json_t *state,
			const json_t *status);
/* Member `ports` of the agent's configuration. */
json_t *session_ports_config(const json_t *state);
/* Params of agent.link and agent.config. */
json_t *session_agent_config(const char *session, const json_t *state);
