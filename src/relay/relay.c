/* SPDX-License-Identifier: Apache-2.0 */
/* What one relay process holds. */
#include "relay.h"

#include <string.h>

#include "agent.h"
#include "control.h"
#include "hub.h"
#include "hub_source.h"
#include "record.h"
#include "streams.h"
#include "upstream.h"

void relay_init(struct relay *r, sd_event *event, const char *name)
{
	memset(r, 0, sizeof(*r));
	r->event = event;
	strncpy(r->name, name, RELAY_NAME_MAX);
	list_init(&r->upstreams);
	list_init(&r->records);
}

void relay_fini(struct relay *r)
{
	/* Who reads goes before what is read. Ends are told to nobody, but the control is still
	 * there to be asked. */
	streams_free(r->streams);
	agent_free(r->agent);
	records_free(r);
	upstreams_free(r);
	r->source = hub_source_free(r->source);
	r->hub = hub_free(r->hub);
	control_free(r->control);
}
