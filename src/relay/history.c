/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recording of a kept console. See history.h.
 *
 * Theory of operation: the hub never waits for the disk on its behalf. What was said is taken out
 * of the ring from a timer, a bounded number of bytes at a turn, so that a guest that talks without
 * end makes no more work and no more writing than PUMP_BYTES every PUMP_USEC; what the ring does
 * not hold until then is a gap, which is written down. When a file is full, or the disk, the reader
 * is given up and dvm-hostd is told, and again every TELL_AGAIN_USEC: it makes room, and brings the
 * next file or the same one. The place to go on at is known, so nothing is missing but what the
 * ring has lost meanwhile.
 */
#include "history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "control.h"
#include "hub.h"

#define PUMP_USEC (50 * USEC_PER_MSEC)
#define PUMP_BYTES ((uint64_t)128 * 1024)
#define TELL_AGAIN_USEC (2 * USEC_PER_SEC)

struct history {
	struct relay *relay;
	char name[RELAY_NAME_MAX + 1];
	struct recorder
		*recorder; /* NULL before the first and after one that could not be opened */
	struct hub_reader *reader; /* NULL while it is stopped */
	uint64_t offset; /* where a new file begins; TUNNEL_FROM_KEPT: with what is kept */
	bool source, source_told;
	unsigned rows, columns; /* to be written down; 0: nothing */
	bool told;		/* that it is stopped, and nothing was written since */
	sd_event_source *timer;
};

static void timer_set(struct history *h, usec_t delay)
{
	(void)sd_event_source_set_time_relative(h->timer, delay);
	(void)sd_event_source_set_enabled(h->timer, SD_EVENT_ONESHOT);
}

static enum fault_code stopped(const struct history *h)
{
	return h->recorder ? recorder_stopped(h->recorder) : FAULT_INTERNAL;
}

static void tell_stopped(struct history *h)
{
	control_notify(h->relay->control, "history.stopped",
		       json_pack("{s:s, s:s, s:b}", "name", h->name, "code",
				 fault_code_name(stopped(h)), "again", h->told));
	h->told = true;
	timer_set(h, TELL_AGAIN_USEC);
}

static void give_up(struct history *h)
{
	h->reader = hub_reader_free(h->reader);
	if (h->told) {
		timer_set(h, TELL_AGAIN_USEC);
	} else {
		tell_stopped(h);
	}
}

/* Takes one chunk; returns its bytes, 0 when there is none. */
static uint64_t take(struct history *h, uint64_t max)
{
	struct hub_chunk chunk;
	size_t n;

	hub_reader_next(h->reader, &chunk);
	n = (size_t)MIN(chunk.len, max);
	switch (chunk.kind) {
	case HUB_BYTES:
		recorder_data(h->recorder, chunk.bytes, n, clock_realtime());
		break;
	case HUB_GAP:
		recorder_gap(h->recorder, chunk.len, clock_realtime());
		n = 1;
		break;
	default:
		return 0;
	}
	hub_reader_took(h->reader, &chunk, n);
	return n;
}

static void pump(struct history *h)
{
	uint64_t left = PUMP_BYTES, n = 1, before = recorder_bytes(h->recorder);

	while (left > 0 && n > 0 && stopped(h) == FAULT_NONE) {
		n = take(h, left);
		left -= MIN(n, left);
	}
	/* Behind the last byte before it. */
	if (n == 0 && h->source != h->source_told && stopped(h) == FAULT_NONE) {
		recorder_source(h->recorder, h->source, clock_realtime());
		h->source_told = h->source;
	}
	if (n == 0 && h->rows > 0 && stopped(h) == FAULT_NONE) {
		recorder_resize(h->recorder, h->columns, h->rows, clock_realtime());
		h->rows = 0;
	}
	h->told = h->told && recorder_bytes(h->recorder) == before;
	if (stopped(h) != FAULT_NONE) {
		give_up(h);
	} else if (n > 0) {
		timer_set(h, PUMP_USEC);
	}
}

static int on_timer(sd_event_source *source, uint64_t now, void *user)
{
	struct history *h = user;

	if (h->reader) {
		pump(h);
	} else {
		tell_stopped(h);
	}
	return 0;
}

static void on_ready(void *user)
{
	timer_set(user, PUMP_USEC);
}

static void on_source(bool up, void *user)
{
	struct history *h = user;

	h->source = up;
	timer_set(h, PUMP_USEC);
}

static void on_resized(unsigned rows, unsigned columns, void *user)
{
	struct history *h = user;

	h->rows = rows;
	h->columns = columns;
	timer_set(h, PUMP_USEC);
}

static void on_flag(bool on, void *user)
{
}

static void on_room(void *user)
{
}

static const struct hub_reader_ops reader_ops = {
	.ready = on_ready,
	.writer = on_flag,
	.source = on_source,
	.input_room = on_room,
	.resized = on_resized,
	.broke = on_flag,
};

static int history_new(struct relay *relay, struct history **ret)
{
	struct history *h = calloc(1, sizeof(*h));
	int err;

	if (!h) {
		return -ENOMEM;
	}
	h->relay = relay;
	h->offset = TUNNEL_FROM_KEPT;
	err = sd_event_add_time_relative(relay->event, &h->timer, CLOCK_MONOTONIC, 0, 1000,
					 on_timer, h);
	if (err >= 0) {
		err = sd_event_source_set_enabled(h->timer, SD_EVENT_OFF);
	}
	if (err < 0) {
		history_free(h);
		return err;
	}
	*ret = h;
	return 0;
}

static void recorder_drop(struct history *h)
{
	if (h->recorder && recorder_offset(h->recorder) != TUNNEL_FROM_KEPT) {
		h->offset = recorder_offset(h->recorder);
	}
	h->recorder = recorder_close(h->recorder);
}

/* The reader stands where the file goes on. */
static int reader_begin(struct history *h)
{
	uint64_t from = recorder_offset(h->recorder);
	bool is_new = from == TUNNEL_FROM_KEPT;
	usec_t now = clock_realtime();
	enum fault_code code;

	from = is_new ? h->offset : from;
	code = hub_reader_new(h->relay->hub, &reader_ops, h, from, TUNNEL_MODE_READ, &h->reader);
	if (code != FAULT_NONE) {
		return -ENOMEM;
	}
	/* In a new file too, what was lost since the former one is said. */
	if (is_new && from != TUNNEL_FROM_KEPT) {
		recorder_start(h->recorder, from, now);
	}
	recorder_start(h->recorder, hub_reader_offset(h->reader), now);
	h->source = h->source_told = hub_has_source(h->relay->hub);
	(void)hub_size(h->relay->hub, &h->rows, &h->columns);
	return 0;
}

int history_open_take(struct relay *relay, const char *name, const struct recorder_options *options,
		      int cast_fd, int state_fd)
{
	_cleanup_close_ int owned_cast = cast_fd, owned_state = state_fd;
	struct history *h;
	int err = relay->history ? 0 : history_new(relay, &relay->history);

	if (err < 0) {
		return err;
	}
	h = relay->history;
	if (h->reader && strcmp(h->name, name) == 0) {
		recorder_limit_set(h->recorder, options->max_bytes);
		return 0;
	}
	h->reader = hub_reader_free(h->reader);
	recorder_drop(h);
	strncpy(h->name, name, RELAY_NAME_MAX);
	err = recorder_open_take(TAKE_FD(owned_cast), TAKE_FD(owned_state), options,
				 clock_realtime(), &h->recorder);
	if (err == 0) {
		err = reader_begin(h);
	}
	if (err < 0) {
		/* The caller knows why; he is asked again should he forget it. */
		recorder_drop(h);
		timer_set(h, TELL_AGAIN_USEC);
		return err;
	}
	timer_set(h, 0);
	return 0;
}

struct history *history_free(struct history *h)
{
	if (!h) {
		return NULL;
	}
	hub_reader_free(h->reader);
	recorder_close(h->recorder);
	sd_event_source_disable_unref(h->timer);
	free(h);
	return NULL;
}

json_t *history_status(const struct history *h)
{
	enum fault_code code;

	if (!h) {
		return json_null();
	}
	code = stopped(h);
	return json_pack("{s:s, s:I, s:I, s:o, s:o}", "name", h->name, "bytes",
			 (json_int_t)(h->recorder ? recorder_bytes(h->recorder) : 0), "max_bytes",
			 (json_int_t)(h->recorder ? recorder_limit(h->recorder) : 0), "offset",
			 !h->recorder || recorder_offset(h->recorder) == TUNNEL_FROM_KEPT
				 ? json_null()
				 : json_integer((json_int_t)recorder_offset(h->recorder)),
			 "stopped",
			 code == FAULT_NONE ? json_null() : json_string(fault_code_name(code)));
}
