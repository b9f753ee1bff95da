/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recordings.
 *
 * Theory of operation: a recording is a reader on the console's link, from where its file ends.
 * When the link or its channel is lost it waits for the next and goes on at the same offset; the
 * hub tells what is no longer kept.
 */
#include "record.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "cleanup.h"
#include "clock.h"
#include "control.h"
#include "upstream.h"

#define RECORD_WINDOW ((uint64_t)256 * 1024)
#define RETRY_USEC (2 * USEC_PER_SEC)

struct record {
	struct list of_relay;
	struct relay *relay;
	char name[RELAY_NAME_MAX + 1], upstream[RELAY_NAME_MAX + 1];
	struct recorder *recorder;
	struct channel channel; /* .conn NULL while there is none */
	sd_event_source *retry; /* on while the link refused us */
};

static struct record *record_free(struct record *r)
{
	channel_close(&r->channel, "");
	sd_event_source_disable_unref(r->retry);
	recorder_close(r->recorder);
	list_del(&r->of_relay);
	free(r);
	return NULL;
}

/* After everything that may have written: goes on, or tells that it is over. */
static void record_check(struct record *r)
{
	enum fault_code code = recorder_stopped(r->recorder);

	if (code == FAULT_NONE) {
		channel_window(&r->channel, RECORD_WINDOW);
		return;
	}
	channel_close(&r->channel, "");
	control_notify(r->relay->control, "record.stopped",
		       json_pack("{s:s, s:s}", "name", r->name, "code", fault_code_name(code)));
}

static void on_opened(struct channel *c, uint64_t start, uint8_t mode)
{
	struct record *r = container_of(c, struct record, channel);

	recorder_start(r->recorder, start, clock_realtime());
	record_check(r);
}

static void on_data(struct channel *c, const uint8_t *p, size_t len)
{
	struct record *r = container_of(c, struct record, channel);

	recorder_data(r->recorder, p, len, clock_realtime());
	record_check(r);
}

static void on_gap(struct channel *c, uint64_t length)
{
	struct record *r = container_of(c, struct record, channel);

	recorder_gap(r->recorder, length, clock_realtime());
	record_check(r);
}

static void on_ctl(struct channel *c, const struct tunnel_ctl *ctl)
{
	struct record *r = container_of(c, struct record, channel);

	if (ctl->op == TUNNEL_CTL_SOURCE) {
		recorder_source(r->recorder, ctl->on, clock_realtime());
		record_check(r);
	} else if (ctl->op == TUNNEL_CTL_WINSIZE) {
		recorder_resize(r->recorder, ctl->columns, ctl->rows, clock_realtime());
		record_check(r);
	}
}

static void on_closed(struct channel *c, const char *reason)
{
	struct record *r = container_of(c, struct record, channel);

	/* Where the whole link is gone nothing is found to open then, and the next link resumes it.
	 */
	(void)sd_event_source_set_time_relative(r->retry, RETRY_USEC);
	(void)sd_event_source_set_enabled(r->retry, SD_EVENT_ONESHOT);
}

static const struct channel_ops channel_ops = {
	.opened = on_opened,
	.data = on_data,
	.screen = channel_ignore_screen,
	.gap = on_gap,
	.writable = channel_ignore_writable,
	.eof = channel_ignore_eof,
	.ctl = on_ctl,
	.closed = on_closed,
};

static void record_resume(struct record *r)
{
	struct link_conn *conn = upstream_conn(r->relay, UPSTREAM_CONSOLE, r->upstream);

	if (!conn || r->channel.conn || recorder_stopped(r->recorder) != FAULT_NONE) {
		return;
	}
	if (channel_open(&r->channel, &channel_ops, conn, "console", TUNNEL_MODE_READ,
			 recorder_offset(r->recorder), RECORD_WINDOW) < 0) {
		on_closed(&r->channel, "");
	}
}

static int on_retry(sd_event_source *source, uint64_t now, void *user)
{
	record_resume(user);
	return 0;
}

static struct record *record_find(const struct relay *relay, const char *name, size_t *ret_count)
{
	struct record *r, *found = NULL;

	*ret_count = 0;
	list_for_each (r, &relay->records, of_relay) {
		(*ret_count)++;
		if (strcmp(r->name, name) == 0) {
			found = r;
		}
	}
	return found;
}

int record_open_take(struct relay *relay, const char *name, const char *upstream,
		     const struct recorder_options *options, int cast_fd, int state_fd)
{
	_cleanup_close_ int owned_cast = cast_fd, owned_state = state_fd;
	size_t count;
	struct record *r = record_find(relay, name, &count);
	int err;

	if (r && recorder_stopped(r->recorder) == FAULT_NONE) {
		return 0;
	}
	if (r) {
		record_free(r);
	} else if (count >= RELAY_RECORDS_MAX) {
		return -ENOSPC;
	}
	r = calloc(1, sizeof(*r));
	if (!r) {
		return -ENOMEM;
	}
	r->relay = relay;
	strncpy(r->name, name, RELAY_NAME_MAX);
	strncpy(r->upstream, upstream, RELAY_NAME_MAX);
	list_add_tail(&relay->records, &r->of_relay);
	err = sd_event_add_time_relative(relay->event, &r->retry, CLOCK_MONOTONIC, 0, 0, on_retry,
					 r);
	if (err >= 0) {
		err = recorder_open_take(TAKE_FD(owned_cast), TAKE_FD(owned_state), options,
					 clock_realtime(), &r->recorder);
	}
	if (err < 0) {
		record_free(r);
		return err;
	}
	return 0;
}

void records_resume(struct relay *relay, const char *upstream)
{
	struct record *r;

	list_for_each (r, &relay->records, of_relay) {
		if (strcmp(r->upstream, upstream) == 0) {
			record_resume(r);
		}
	}
}

bool record_status(const struct relay *relay, size_t i, const char **ret_name, uint64_t *ret_bytes,
		   enum fault_code *ret_stopped)
{
	struct record *r;

	list_for_each (r, &relay->records, of_relay) {
		if (i-- == 0) {
			*ret_name = r->name;
			*ret_bytes = recorder_bytes(r->recorder);
			*ret_stopped = recorder_stopped(r->recorder);
			return true;
		}
	}
	return false;
}

void records_free(struct relay *relay)
{
	while (!list_empty(&relay->records)) {
		record_free(container_of(relay->records.next, struct record, of_relay));
	}
}
