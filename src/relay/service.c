/* SPDX-License-Identifier: Apache-2.0 */
/* Which service a name means. */
#include "service.h"

#include <string.h>

#include "agent.h"
#include "channel.h"
#include "display_channel.h"
#include "fault.h"
#include "gdb_channel.h"
#include "hub_channel.h"
#include "switch.h"
#include "upstream.h"

static void upstream_switch(struct relay *relay, enum upstream_service service,
			    struct link_conn *conn, uint16_t id, const char *name, uint8_t mode,
			    uint64_t from)
{
	struct link_conn *to = upstream_conn(relay, service, name);
	enum fault_code code =
		to ? upstream_mode(relay, service, name, mode, &mode) : FAULT_NOT_ATTACHED;

	if (code != FAULT_NONE) {
		channel_refuse(conn, id, fault_code_name(code));
		return;
	}
	switch_open(conn, id, to, upstream_service_name(service), mode, from);
}

static void ssh_switch(struct relay *relay, struct link_conn *conn, uint16_t id, uint8_t mode,
		       uint64_t from)
{
	struct link_conn *to = agent_conn(relay->agent);

	if (!to) {
		channel_refuse(conn, id, fault_code_name(FAULT_SESSION_NOT_READY));
		return;
	}
	switch_open(conn, id, to, "ssh", mode, from);
}

void service_open(struct relay *relay, struct link_conn *conn, uint16_t id, const char *service,
		  uint8_t mode, uint64_t from)
{
	if (strcmp(service, "console") == 0 && relay->hub) {
		hub_channel_open(relay->hub, conn, id, mode, from);
	} else if (strncmp(service, "console/", 8) == 0) {
		upstream_switch(relay, UPSTREAM_CONSOLE, conn, id, service + 8, mode, from);
	} else if (strcmp(service, "vnc") == 0 && relay->hub) {
		display_channel_open(relay, conn, id, mode);
	} else if (strncmp(service, "vnc/", 4) == 0) {
		upstream_switch(relay, UPSTREAM_VNC, conn, id, service + 4, mode, from);
	} else if (strcmp(service, "gdb") == 0 && relay->hub) {
		gdb_channel_open(relay, conn, id, mode);
	} else if (strncmp(service, "gdb/", 4) == 0) {
		upstream_switch(relay, UPSTREAM_GDB, conn, id, service + 4, mode, from);
	} else if (strcmp(service, "ssh") == 0 && relay->agent) {
		ssh_switch(relay, conn, id, mode, from);
	} else {
		channel_refuse(conn, id, fault_code_name(FAULT_NOT_FOUND));
	}
}
