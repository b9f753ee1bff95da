/* SPDX-License-Identifier: Apache-2.0 */
/* What one relay process holds. */
#include "relay.h"

#include <string.h>
#include <sys/resource.h>

#include "agent.h"
#include "control.h"
#include "gdb_channel.h"
#include "history.h"
#include "hub.h"
#include "hub_source.h"
#include "pipes.h"
#include "poll_set.h"
#include "raw_port.h"
#include "record.h"
#include "streams.h"
#include "upstream.h"

/* Asked for ahead of the walls, behind which it cannot be. */
static size_t files_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
		return 1024;
	}
	return (size_t)MIN(limit.rlim_max, (rlim_t)RELAY_FILES_MAX);
}

int relay_init(struct relay *r, sd_event *event, const char *name)
{
	memset(r, 0, sizeof(*r));
	r->event = event;
	r->files_max = files_max();
	strncpy(r->name, name, RELAY_NAME_MAX);
	list_init(&r->displays);
	list_init(&r->upstreams);
	list_init(&r->records);
	list_init(&r->raw_ports);
	return poll_set_new(event, &r->poll);
}

void relay_fini(struct relay *r)
{
	/* Who reads goes before what is read. Ends are told to nobody, but the control is still
	 * there to be asked. */
	streams_free(r->streams);
	pipes_free(r);
	r->gdb = gdb_service_free(r->gdb);
	agent_free(r->agent);
	records_free(r);
	raw_ports_free(r);
	upstreams_free(r);
	r->source = hub_source_free(r->source);
	r->history = history_free(r->history);
	r->hub = hub_free(r->hub);
	control_free(r->control);
	poll_set_free(r->poll);
}
