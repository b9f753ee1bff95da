/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters, gauges and histograms of seconds, for /metrics in Prometheus' text format. A metric is
 * a name from the table in metrics.c and at most one label value; METRICS_SERIES_MAX series are
 * kept, more are not counted.
 */
#pragma once

#include "buf.h"

#define METRICS_SERIES_MAX 512

enum metric {
	METRIC_TRANSITIONS,	  /* counter, label: state entered */
	METRIC_FAULTS,		  /* counter, label: fault code */
	METRIC_SESSIONS,	  /* gauge, label: state */
	METRIC_PHASE_SECONDS,	  /* histogram, label: state left */
	METRIC_READY_SECONDS,	  /* histogram: from request to ready */
	METRIC_POWER,		  /* counter, label: verb */
	METRIC_HOST_CALL_SECONDS, /* histogram, label: method */
	METRIC_HOST_UP,		  /* gauge */
	METRIC_EVENTS,		  /* counter */
	METRIC_HTTP_REQUESTS,	  /* counter, label: status class "2xx" */
	METRIC_HTTP_SECONDS,	  /* histogram */
	METRIC_SSE_CLIENTS,	  /* gauge */
	METRIC_HISTORY_STOPPED,	  /* counter, label: fault code */
	METRIC_TICKETS,		  /* counter, label: made, redeemed, refused */
	METRIC_START_SECONDS,	  /* histogram, label: pool, memory, boot */
	METRIC_POOL,		  /* counter, label: hit, miss */
	METRIC_POOL_MEMBERS,	  /* gauge, label: ready, wanted */
	_METRIC_MAX,
};

struct metrics;

int metrics_new(struct metrics **ret) _must_check_;
struct metrics *metrics_free(struct metrics *m);
/* `label` is NULL for metrics without one. */
void metrics_count(struct metrics *m, enum metric id, const char *label);
void metrics_set(struct metrics *m, enum metric id, const char *label, double value);
void metrics_add(struct metrics *m, enum metric id, const char *label, double delta);
void metrics_observe(struct metrics *m, enum metric id, const char *label, usec_t duration);
/* Appends the exposition text. */
int metrics_write(const struct metrics *m, struct buf *out) _must_check_;
