/* SPDX-License-Identifier: Apache-2.0 */
/* Figures for Prometheus: the table of metrics, and the series there are. */
#include "metrics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { COUNTER, GAUGE, HISTOGRAM };

static const struct {
	const char *name;
	enum kind kind;
	const char *label; /* NULL: has none */
	const char *help;
} table[] = {
	[METRIC_TRANSITIONS] = { "dvm_session_transitions_total", COUNTER, "to",
				 "Transitions of sessions by the state entered." },
	[METRIC_FAULTS] = { "dvm_session_faults_total", COUNTER, "code",
			    "Faults that ended sessions." },
	[METRIC_SESSIONS] = { "dvm_sessions", GAUGE, "state", "Sessions by state." },
	[METRIC_PHASE_SECONDS] = { "dvm_session_phase_seconds", HISTOGRAM, "state",
				   "Time that sessions spent in a state they left." },
	[METRIC_READY_SECONDS] = { "dvm_session_ready_seconds", HISTOGRAM, NULL,
				   "Time from a session's request to its first ready." },
	[METRIC_POWER] = { "dvm_vm_power_total", COUNTER, "verb", "Power actions on VMs." },
	[METRIC_HOST_CALL_SECONDS] = { "dvm_host_call_seconds", HISTOGRAM, "method",
				       "Time until the host's program answered." },
	[METRIC_HOST_UP] = { "dvm_host_up", GAUGE, NULL, "Whether the host's program is there." },
	[METRIC_EVENTS] = { "dvm_events_total", COUNTER, NULL, "Events recorded." },
	[METRIC_HTTP_REQUESTS] = { "dvm_http_requests_total", COUNTER, "class",
				   "Requests by class of answer." },
	[METRIC_HTTP_SECONDS] = { "dvm_http_request_seconds", HISTOGRAM, NULL,
				  "Time until a request was answered." },
	[METRIC_SSE_CLIENTS] = { "dvm_event_clients", GAUGE, NULL, "Readers of the event feed." },
	[METRIC_HISTORY_STOPPED] = { "dvm_console_history_stopped_total", COUNTER, "code",
				     "Times that the recording of a console came to a stop." },
	[METRIC_TICKETS] = { "dvm_stream_tickets_total", COUNTER, "what",
			     "Tickets for streams made, redeemed, refused." },
	[METRIC_START_SECONDS] = { "dvm_start_seconds", HISTOGRAM, "how",
				   "Time until a D-VM was ready, by how it came to be." },
	[METRIC_POOL] = { "dvm_pool_total", COUNTER, "what",
			  "Sessions that found a D-VM waiting, and that did not." },
	[METRIC_POOL_MEMBERS] = { "dvm_pool_members", GAUGE, "what",
				  "D-VMs that wait, and how many are to." },
};
static_assert(ARRAY_SIZE(table) == _METRIC_MAX, "a row for each metric");

static const char *const kind_names[] = { "counter", "gauge", "histogram" };

/* Upper bounds in seconds; a last one without bound follows. */
static const double bounds[] = { 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60 };

struct series {
	enum metric id;
	char label[48];
	double value; /* histogram: the sum */
	uint64_t buckets[ARRAY_SIZE(bounds) + 1];
};

struct metrics {
	size_t n;
	struct series series[METRICS_SERIES_MAX];
};

int metrics_new(struct metrics **ret)
{
	struct metrics *m = calloc(1, sizeof(*m));

	if (!m) {
		return -ENOMEM;
	}
	*ret = m;
	return 0;
}

struct metrics *metrics_free(struct metrics *m)
{
	free(m);
	return NULL;
}

/* NULL when there is no room for one more. */
static struct series *series_of(struct metrics *m, enum metric id, const char *label)
{
	struct series *s;

	for (size_t i = 0; i < m->n; i++) {
		if (m->series[i].id == id && strcmp(m->series[i].label, label ?: "") == 0) {
			return &m->series[i];
		}
	}
	if (m->n == METRICS_SERIES_MAX || strlen(label ?: "") >= sizeof(s->label)) {
		return NULL;
	}
	s = &m->series[m->n++];
	s->id = id;
	strcpy(s->label, label ?: "");
	return s;
}

void metrics_add(struct metrics *m, enum metric id, const char *label, double delta)
{
	struct series *s = series_of(m, id, label);

	if (s) {
		s->value += delta;
	}
}

void metrics_count(struct metrics *m, enum metric id, const char *label)
{
	metrics_add(m, id, label, 1);
}

void metrics_set(struct metrics *m, enum metric id, const char *label, double value)
{
	struct series *s = series_of(m, id, label);

	if (s) {
		s->value = value;
	}
}

void metrics_observe(struct metrics *m, enum metric id, const char *label, usec_t duration)
{
	struct series *s = series_of(m, id, label);
	double seconds = (double)duration / USEC_PER_SEC;
	size_t i = 0;

	if (s) {
		while (i < ARRAY_SIZE(bounds) && seconds > bounds[i]) {
			i++;
		}
		s->buckets[i]++;
		s->value += seconds;
	}
}

static int write_histogram(const struct series *s, struct buf *out)
{
	const char *name = table[s->id].name, *key = table[s->id].label;
	char label[80] = "", braced[88] = "";
	uint64_t count = 0;
	int r = 0;

	if (key) {
		snprintf(label, sizeof(label), "%s=\"%s\",", key, s->label);
		snprintf(braced, sizeof(braced), "{%s=\"%s\"}", key, s->label);
	}
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(bounds); i++) {
		count += s->buckets[i];
		r = buf_printf(out, "%s_bucket{%sle=\"%g\"} %llu\n", name, label, bounds[i],
			       (unsigned long long)count);
	}
	count += s->buckets[ARRAY_SIZE(bounds)];
	if (r == 0) {
		r = buf_printf(out,
			       "%s_bucket{%sle=\"+Inf\"} %llu\n"
			       "%s_sum%s %.6f\n"
			       "%s_count%s %llu\n",
			       name, label, (unsigned long long)count, name, braced, s->value, name,
			       braced, (unsigned long long)count);
	}
	return r;
}

static int write_series(const struct series *s, struct buf *out)
{
	if (table[s->id].kind == HISTOGRAM) {
		return write_histogram(s, out);
	}
	if (table[s->id].label) {
		return buf_printf(out, "%s{%s=\"%s\"} %.15g\n", table[s->id].name,
				  table[s->id].label, s->label, s->value);
	}
	return buf_printf(out, "%s %.15g\n", table[s->id].name, s->value);
}

int metrics_write(const struct metrics *m, struct buf *out)
{
	for (unsigned id = 0; id < _METRIC_MAX; id++) {
		int r = buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", table[id].name,
				   table[id].help, table[id].name, kind_names[table[id].kind]);

		for (size_t i = 0; r == 0 && i < m->n; i++) {
			if (m->series[i].id == id) {
				r = write_series(&m->series[i], out);
			}
		}
		if (r < 0) {
			return r;
		}
	}
	return 0;
}
