/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 on a listening unix socket, by libmicrohttpd on the loop; see the header. */
#include "http_server.h"

#include <errno.h>
#include <microhttpd.h>
#include <string.h>

#include "buf.h"
#include "cleanup.h"
#include "list.h"
#include "parse.h"

/* A body that is too large is read and thrown away up to here, so that its sender gets to read the
 * answer. */
#define BODY_DRAIN_MAX (16 * 1024 * 1024)
#define HEADERS_MAX 12
#define CONNECTION_MEMORY (32 * 1024)
#define STREAM_BLOCK (32 * 1024)

enum phase {
	PHASE_HEAD, /* the request line has come */
	PHASE_BODY,
	PHASE_HANDLED,	/* with the handler */
	PHASE_ANSWERED, /* the handler has answered, libmicrohttpd does not have it yet */
	PHASE_SENT,	/* it has */
};

struct http_request {
	struct http_server *server; /* NULL: freed */
	struct list link;
	struct MHD_Connection *connection; /* NULL: gone */
	enum phase phase;
	bool suspended, too_large;
	unsigned refs; /* libmicrohttpd, and the handler until it has answered */
	char *target;
	char *method;
	struct buf body;
	uint64_t drained_bytes;
	struct {
		char *name, *value;
	} headers[HEADERS_MAX];
	size_t n_headers;
	bool broken; /* no memory for a part of the answer: none is better than half of it */
	unsigned status;
	struct MHD_Response *response;
	const struct http_stream_ops *stream;
	void *stream_user;
	sd_event_source
		*hangup; /* of a stream's client: libmicrohttpd does not look while suspended */
	bool hung_up;
};

struct http_server {
	sd_event *event;
	sd_event_source *io, *timer;
	struct MHD_Daemon *daemon;
	struct list requests;
	bool resumed; /* a connection, since libmicrohttpd ran last */
	const struct http_server_ops *ops;
	void *user;
};

static void request_unref(struct http_request *r)
{
	if (--r->refs > 0) {
		return;
	}
	list_del(&r->link);
	for (size_t i = 0; i < r->n_headers; i++) {
		free(r->headers[i].name);
		free(r->headers[i].value);
	}
	if (r->response) {
		MHD_destroy_response(r->response);
	}
	buf_fini(&r->body);
	free(r->method);
	free(r->target);
	free(r);
}

/* Works out when libmicrohttpd wants to run next: a resumed connection does not make its epoll fd
 * readable. */
static void arm(struct http_server *s)
{
	MHD_UNSIGNED_LONG_LONG ms = 0;

	if (!s->resumed && MHD_get_timeout(s->daemon, &ms) != MHD_YES) {
		sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
		return;
	}
	sd_event_source_set_time_relative(s->timer, (usec_t)ms * USEC_PER_MSEC);
	sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
}

static void run(struct http_server *s)
{
	s->resumed = false;
	MHD_run(s->daemon);
	arm(s);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *user)
{
	run(user);
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t at, void *user)
{
	run(user);
	return 0;
}

/* ---- requests */

/* The request line has come. What is returned is the request's `con_cls` from now on. */
static void *on_request_line(void *user, const char *uri, struct MHD_Connection *connection)
{
	struct http_server *s = user;
	struct http_request *r = calloc(1, sizeof(*r));

	if (!r) {
		return NULL;
	}
	r->server = s;
	r->refs = 1;
	r->connection = connection;
	buf_init(&r->body, HTTP_BODY_MAX + 1);
	list_init(&r->link);
	r->target = strdup(uri);
	if (!r->target) {
		request_unref(r);
		return NULL;
	}
	list_add_tail(&s->requests, &r->link);
	return r;
}

static enum MHD_Result send_answer(struct http_request *r)
{
	if (r->broken) {
		return MHD_NO;
	}
	r->phase = PHASE_SENT;
	return MHD_queue_response(r->connection, r->status, r->response);
}

static enum MHD_Result handle(struct http_request *r)
{
	r->phase = PHASE_HANDLED;
	r->refs++;
	r->server->ops->request(r, r->server->user);
	if (r->phase == PHASE_ANSWERED) {
		return send_answer(r);
	}
	r->suspended = true;
	MHD_suspend_connection(r->connection);
	return MHD_YES;
}

static enum MHD_Result on_head(struct http_request *r, const char *method)
{
	const char *length = http_request_header(r, "Content-Length");
	uint64_t length_bytes;

	r->method = strdup(method);
	if (!r->method) {
		return MHD_NO;
	}
	r->phase = PHASE_BODY;
	if (length && parse_u64(length, &length_bytes) == 0 && length_bytes > BODY_DRAIN_MAX) {
		r->too_large = true;
		return handle(r); /* libmicrohttpd then closes without reading the body */
	}
	return MHD_YES;
}

static enum MHD_Result on_body(struct http_request *r, const char *p, size_t len)
{
	if (!r->too_large && len > HTTP_BODY_MAX - buf_len(&r->body)) {
		r->too_large = true;
		buf_clear(&r->body);
	}
	if (!r->too_large) {
		return buf_append(&r->body, p, len) < 0 ? MHD_NO : MHD_YES;
	}
	r->drained_bytes += len;
	return r->drained_bytes > BODY_DRAIN_MAX ? MHD_NO : MHD_YES;
}

/* Comes once with the head, once for each piece of the body, once at its end, and again after each
 * resume. */
static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_len, void **con_cls)
{
	struct http_request *r = *con_cls;
	enum MHD_Result result;

	if (!r) {
		return MHD_NO;
	}
	switch (r->phase) {
	case PHASE_HEAD:
		return on_head(r, method);
	case PHASE_BODY:
		if (*upload_len > 0) {
			result = on_body(r, upload, *upload_len);
			*upload_len = 0;
			return result;
		}
		if (buf_append(&r->body, "", 1) < 0) {
			return MHD_NO;
		}
		return handle(r);
	case PHASE_ANSWERED:
		return send_answer(r);
	case PHASE_HANDLED:
	case PHASE_SENT:
		return MHD_NO;
	}
	return MHD_NO;
}

static void on_completed(void *user, struct MHD_Connection *connection, void **con_cls,
			 enum MHD_RequestTerminationCode code)
{
	struct http_request *r = *con_cls;

	if (!r) {
		return;
	}
	*con_cls = NULL;
	r->connection = NULL;
	r->hangup = sd_event_source_disable_unref(r->hangup); /* before its fd is closed */
	if (r->stream) {
		r->stream->closed(r->stream_user);
		r->stream = NULL;
	}
	request_unref(r);
}

const char *http_request_method(const struct http_request *r)
{
	return r->method;
}

const char *http_request_target(const struct http_request *r)
{
	return r->target;
}

const char *http_request_header(const struct http_request *r, const char *name)
{
	return r->connection ? MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name)
			     : NULL;
}

const char *http_request_body(const struct http_request *r, size_t *ret_len)
{
	size_t len = buf_len(&r->body);

	/* With the NUL that is behind a body of a whole request; one too large from the start has
	 * none. */
	*ret_len = len > 0 ? len - 1 : 0;
	return len > 0 ? (const char *)r->body.mem + r->body.head : "";
}

bool http_request_too_large(const struct http_request *r)
{
	return r->too_large;
}

/* ---- answers */

void http_request_add_header(struct http_request *r, const char *name, const char *value)
{
	char *name_copy = strdup(name);
	char *value_copy = strdup(value);

	assert(r->n_headers < HEADERS_MAX);
	r->headers[r->n_headers].name = name_copy;
	r->headers[r->n_headers].value = value_copy;
	r->n_headers++;
	r->broken = r->broken || !name_copy || !value_copy;
}

static void resume(struct http_request *r)
{
	if (r->suspended && r->connection) {
		r->suspended = false;
		MHD_resume_connection(r->connection);
		r->server->resumed = true;
		arm(r->server);
	}
}

/* Takes `response` (NULL: there was no memory for one). */
static void answer(struct http_request *r, unsigned status, const char *type,
		   struct MHD_Response *response)
{
	r->status = status;
	r->response = response;
	r->broken = r->broken || !response;
	for (size_t i = 0; i < r->n_headers && !r->broken; i++) {
		r->broken = MHD_add_response_header(response, r->headers[i].name,
						    r->headers[i].value) != MHD_YES;
	}
	if (type && !r->broken) {
		r->broken = MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) !=
			    MHD_YES;
	}
	r->phase = PHASE_ANSWERED;
	resume(r);
}

void http_request_reply_take(struct http_request *r, unsigned status, const char *type, char *body,
			     size_t len)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(
		len, body, body ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);

	assert(r->phase == PHASE_HANDLED);
	if (!response) {
		free(body);
	}
	answer(r, status, type, response);
	request_unref(r);
}

static int on_hangup(sd_event_source *source, int fd, uint32_t revents, void *user)
{
	struct http_request *r = user;

	r->hung_up = true;
	sd_event_source_set_enabled(source, SD_EVENT_OFF);
	resume(r);
	return 0;
}

/* A client that only ends its sending side still reads: that is no hang-up. */
static int watch_hangup(struct http_request *r)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	return info ? sd_event_add_io(r->server->event, &r->hangup, info->connect_fd, 0, on_hangup,
				      r)
		    : -EIO;
}

static ssize_t on_pull(void *user, uint64_t pos, char *p, size_t max)
{
	struct http_request *r = user;
	ssize_t n = -EPIPE;

	if (r->stream && !r->hung_up) {
		n = r->stream->pull(p, max, r->stream_user);
	}
	if (n > 0) {
		return n;
	}
	if (n == 0) {
		r->suspended = true;
		MHD_suspend_connection(r->connection);
		return 0;
	}
	return n == -ENODATA ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
}

void http_request_stream(struct http_request *r, unsigned status, const char *type, uint64_t length,
			 const struct http_stream_ops *ops, void *user)
{
	struct MHD_Response *response = NULL;

	assert(r->phase == PHASE_HANDLED);
	if (r->connection) {
		response = MHD_create_response_from_callback(
			length == HTTP_LENGTH_UNKNOWN ? MHD_SIZE_UNKNOWN : length, STREAM_BLOCK,
			on_pull, r, NULL);
		r->stream = ops;
		r->stream_user = user;
		r->broken = r->broken || watch_hangup(r) < 0;
	} else {
		ops->closed(user);
	}
	answer(r, status, type, response);
	request_unref(r);
}

void http_request_wake(struct http_request *r)
{
	resume(r);
}

/* ---- the server */

int http_server_new_take(sd_event *event, int listen_fd, const struct http_server_ops *ops,
			 void *user, struct http_server **ret)
{
	_cleanup_close_ int fd = listen_fd;
	struct http_server *s = calloc(1, sizeof(*s));
	const union MHD_DaemonInfo *info;
	int r;

	if (!s) {
		return -ENOMEM;
	}
	s->event = sd_event_ref(event);
	s->ops = ops;
	s->user = user;
	list_init(&s->requests);
	s->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, s,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)HTTP_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)(HTTP_IDLE_TIMEOUT / USEC_PER_SEC), MHD_OPTION_URI_LOG_CALLBACK,
		on_request_line, s, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
	if (!s->daemon) {
		http_server_free(s);
		return -EIO;
	}
	fd = -1;
	info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	r = info ? sd_event_add_io(event, &s->io, info->epoll_fd, EPOLLIN, on_io, s) : -EIO;
	if (r >= 0) {
		r = sd_event_add_time(event, &s->timer, CLOCK_MONOTONIC, 0, 1, on_timer, s);
	}
	if (r < 0) {
		http_server_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

struct http_server *http_server_free(struct http_server *s)
{
	struct http_request *r;

	if (!s) {
		return NULL;
	}
	if (s->daemon) {
		/* libmicrohttpd stops only when nothing is suspended; what is resumed here is
		 * closed at once. */
		list_for_each (r, &s->requests, link) {
			resume(r);
		}
		MHD_stop_daemon(s->daemon);
	}
	while (!list_empty(&s->requests)) {
		r = container_of(s->requests.next, struct http_request, link);
		list_del(&r->link);
		r->server = NULL;
	}
	sd_event_source_disable_unref(s->io);
	sd_event_source_disable_unref(s->timer);
	sd_event_unref(s->event);
	free(s);
	return NULL;
}
