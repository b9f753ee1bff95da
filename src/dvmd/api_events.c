/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/events: the feed; see the header. */
#include "api_events.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "access.h"
#include "api_handlers.h"
#include "buf.h"
#include "cleanup.h"
#include "events.h"
#include "metrics.h"
#include "parse.h"

/* Of one batch; an event's data is far smaller than this by FEED_BATCH. */
#define TEXT_BYTES_MAX (1024 * 1024)

struct feed_client {
	struct api_feed *feed;
	struct list link;
	struct http_request *request;
	struct principal who;
	char bearer[TOKEN_BYTES_MAX + 1];
	char *projects;	      /* as store.h has it */
	char session[ID_MAX]; /* "": all */
	uint64_t seq;	      /* sent last */
	struct buf text;      /* to be sent */
	bool heartbeat;	      /* one is due */
	bool refused;	      /* the token is no longer good */
};

struct api_feed {
	struct dvmd *d;
	struct event_listener *listener;
	sd_event_source *heartbeat;
	struct list clients;
	size_t n_clients;
};

/* ---- a client's text */

static int append_event(struct feed_client *fc, const struct event_row *row)
{
	_cleanup_(json_decrefp) json_t *event = event_to_json(row);
	_cleanup_free_ char *data = event ? json_dumps(event, JSON_COMPACT) : NULL;

	if (!data) {
		return -ENOMEM;
	}
	return buf_printf(&fc->text, "id: %" PRIu64 "\nevent: %s\ndata: %s\n\n", row->seq,
			  row->type, data);
}

/* Reads the next batch, if there is one. */
static int fill(struct feed_client *fc)
{
	struct store *store = fc->feed->d->store;
	const struct event_filter filter = {
		.projects = fc->projects,
		.session = fc->session[0] ? fc->session : NULL,
	};
	struct event_row *rows = NULL;
	struct fault fault;
	uint64_t last;
	size_t n = 0;
	int r;

	r = store_event_last(store, &last, &fault);
	if (r < 0 || last <= fc->seq) {
		return r;
	}
	r = store_event_list(store, &filter, FEED_BATCH, fc->seq, &rows, &n, &fault);
	if (r < 0) {
		return r;
	}
	for (size_t i = 0; i < n && r == 0; i++) {
		r = append_event(fc, &rows[i]);
		fc->seq = rows[i].seq;
	}
	if (n < FEED_BATCH) {
		fc->seq = last; /* what lies between is not for this client */
	}
	event_rows_free(rows, n);
	return r;
}

static ssize_t on_pull(void *p, size_t max, void *user)
{
	struct feed_client *fc = user;
	size_t n;
	int r;

	if (fc->refused) {
		return -EACCES;
	}
	if (buf_len(&fc->text) == 0) {
		r = fill(fc);
		if (r < 0) {
			return r;
		}
	}
	if (buf_len(&fc->text) == 0 && fc->heartbeat) {
		r = buf_append(&fc->text, ":\n\n", 3);
		if (r < 0) {
			return r;
		}
	}
	fc->heartbeat = false;
	n = MIN(max, buf_len(&fc->text));
	if (n > 0) {
		memcpy(p, buf_data(&fc->text), n);
		buf_consume(&fc->text, n);
	}
	return (ssize_t)n;
}

/* ---- clients */

static void feed_client_free(struct feed_client *fc)
{
	struct api_feed *feed = fc->feed;

	list_del(&fc->link);
	feed->n_clients--;
	metrics_set(feed->d->metrics, METRIC_SSE_CLIENTS, NULL, (double)feed->n_clients);
	explicit_bzero(fc->bearer, sizeof(fc->bearer));
	buf_fini(&fc->text);
	free(fc->projects);
	free(fc);
}

static void on_closed(void *user)
{
	feed_client_free(user);
}

static size_t clients_of(const struct api_feed *feed, const char *user)
{
	struct feed_client *fc;
	size_t n = 0;

	list_for_each (fc, &feed->clients, link) {
		n += strcmp(fc->who.user, user) == 0;
	}
	return n;
}

/* Where the client begins: behind what it names, or behind the newest. */
static int first_seq(struct api_call *c, uint64_t *ret, struct fault *fault)
{
	const char *last_id = http_request_header(c->request, "Last-Event-ID");

	if (last_id) {
		if (parse_u64(last_id, ret) < 0 || *ret > INT64_MAX) {
			return fault_set(fault, FAULT_BAD_VALUE,
					 "Last-Event-ID must be the id of an event");
		}
		return 0;
	}
	if (c->query.after_seq >= 0) {
		*ret = (uint64_t)c->query.after_seq;
		return 0;
	}
	return store_event_last(c->d->store, ret, fault);
}

static int check_session(struct api_call *c, struct fault *fault)
{
	_cleanup_(session_row_fini) struct session_row row = { 0 };

	if (!c->query.session) {
		return 0;
	}
	return access_session(c->d, &c->who, c->query.session, RIGHT_VIEW, false, "event.watch",
			      &row, fault);
}

static int check_quota(struct api_feed *feed, const struct principal *who, struct fault *fault)
{
	if (feed->n_clients < FEED_CLIENTS_MAX &&
	    clients_of(feed, who->user) < FEED_CLIENTS_PER_USER) {
		return 0;
	}
	fault_set(fault, FAULT_QUOTA, "Too many feeds of events are open");
	fault_hint(fault, "Close one that is no longer read.");
	return -EREMOTEIO;
}

static int feed_client_new(struct api_call *c, uint64_t seq, struct feed_client **ret,
			   struct fault *fault)
{
	static const char bearer[] = "Bearer ";
	const char *field = http_request_header(c->request, "Authorization");
	struct api_feed *feed = api_feed_of(c->api);
	struct feed_client *fc = calloc(1, sizeof(*fc));

	if (!fc) {
		return api_no_memory(fault);
	}
	fc->feed = feed;
	fc->request = c->request;
	fc->who = c->who;
	fc->seq = seq;
	buf_init(&fc->text, TEXT_BYTES_MAX);
	snprintf(fc->bearer, sizeof(fc->bearer), "%s", field + strlen(bearer));
	if (c->query.session) {
		snprintf(fc->session, sizeof(fc->session), "%s", c->query.session);
	}
	list_add_tail(&feed->clients, &fc->link);
	feed->n_clients++;
	/* Something to send at once, so that the client knows it is heard. */
	if (principal_projects(&fc->who, RIGHT_VIEW, &fc->projects) < 0 ||
	    buf_printf(&fc->text, "retry: 1000\n\n") < 0) {
		feed_client_free(fc);
		return api_no_memory(fault);
	}
	metrics_set(feed->d->metrics, METRIC_SSE_CLIENTS, NULL, (double)feed->n_clients);
	*ret = fc;
	return 0;
}

void api_event_watch(struct api_call *c)
{
	static const struct http_stream_ops ops = { .pull = on_pull, .closed = on_closed };
	struct feed_client *fc = NULL;
	struct fault fault;
	uint64_t seq = 0;
	int r = check_session(c, &fault);

	if (r == 0) {
		r = first_seq(c, &seq, &fault);
	}
	if (r == 0) {
		r = check_quota(api_feed_of(c->api), &c->who, &fault);
	}
	if (r == 0) {
		r = feed_client_new(c, seq, &fc, &fault);
	}
	if (r < 0) {
		api_fault(c, &fault);
		return;
	}
	api_stream(c, 200, "text/event-stream", HTTP_LENGTH_UNKNOWN, &ops, fc);
}

/* ---- the feed */

static void on_recorded(void *user)
{
	struct api_feed *feed = user;
	struct feed_client *fc;

	list_for_each (fc, &feed->clients, link) {
		http_request_wake(fc->request);
	}
}

/* The token may have been revoked, the rights changed. */
static void look_again(struct feed_client *fc)
{
	char *projects = NULL;
	struct fault fault;

	if (identity_authenticate(fc->feed->d->identity, fc->bearer, &fc->who, &fault) < 0) {
		fc->refused = fault.code == FAULT_UNAUTHENTICATED;
		return;
	}
	if (principal_projects(&fc->who, RIGHT_VIEW, &projects) < 0) {
		fc->refused = true;
		return;
	}
	free(fc->projects);
	fc->projects = projects;
}

static int on_heartbeat(sd_event_source *source, uint64_t at, void *user)
{
	struct api_feed *feed = user;
	struct feed_client *fc;

	list_for_each (fc, &feed->clients, link) {
		look_again(fc);
		fc->heartbeat = true;
		http_request_wake(fc->request);
	}
	sd_event_source_set_time_relative(source, FEED_HEARTBEAT);
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

int api_feed_new(struct dvmd *d, struct api_feed **ret)
{
	struct api_feed *feed = calloc(1, sizeof(*feed));
	int r;

	if (!feed) {
		return -ENOMEM;
	}
	feed->d = d;
	list_init(&feed->clients);
	r = sd_event_add_time_relative(d->event, &feed->heartbeat, CLOCK_MONOTONIC, FEED_HEARTBEAT,
				       0, on_heartbeat, feed);
	if (r >= 0) {
		r = events_listen(d->events, on_recorded, feed, &feed->listener);
	}
	if (r < 0) {
		api_feed_free(feed);
		return r;
	}
	*ret = feed;
	return 0;
}

struct api_feed *api_feed_free(struct api_feed *feed)
{
	if (!feed) {
		return NULL;
	}
	if (feed->listener) {
		events_unlisten(feed->listener);
	}
	sd_event_source_disable_unref(feed->heartbeat);
	free(feed);
	return NULL;
}
