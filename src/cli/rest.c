/* SPDX-License-Identifier: Apache-2.0 */
/* Client of the REST API over libcurl; see rest.h for when a request is sent again. */
#include "rest.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "buf.h"
#include "cleanup.h"
#include "clock.h"
#include "file.h"
#include "parse.h"
#include "sse.h"
#include "transport.h"

#define CALL_TIMEOUT_S 120L
/* An event stream that is silent for longer than its keep-alives allow is dead. */
#define EVENTS_SILENCE_S 60L
#define RETRY_FIRST_MS 100

struct rest {
	CURL *curl;
	const struct config *config; /* borrowed */
	char error[CURL_ERROR_SIZE];
};

/* Where the body of an answer goes. Until the status is known to be good it is kept in `head`,
 * because it may be a problem document. */
struct sink {
	struct rest *rest;
	struct buf head;
	int fd;		 /* >= 0: a download */
	struct sse *sse; /* an event stream */
	long timeout_ms; /* of an event stream; 0: none */
	int result;	 /* of fd or sse */
	bool too_big;
};

static void sink_fini(struct sink *s)
{
	buf_fini(&s->head);
}

static void slist_freep(struct curl_slist **l)
{
	curl_slist_free_all(*l);
}

int rest_new(const struct config *config, struct rest **ret, struct fault *fault)
{
	struct rest *r;

	if (!config->token) {
		fault_set(fault, FAULT_UNAUTHENTICATED, "no token is configured");
		fault_hint(fault, "set DVM_TOKEN");
		return -EREMOTEIO;
	}
	r = calloc(1, sizeof(*r));
	if (!r) {
		return -ENOMEM;
	}
	r->config = config;
	r->curl = curl_easy_init();
	if (!r->curl) {
		free(r);
		return -ENOMEM;
	}
	*ret = r;
	return 0;
}

struct rest *rest_free(struct rest *r)
{
	if (r) {
		curl_easy_cleanup(r->curl);
		free(r);
	}
	return NULL;
}

char *rest_path(const char *fmt, ...)
{
	_cleanup_(buf_fini) struct buf b;
	va_list ap;
	int r = 0;

	buf_init(&b, 8192);
	va_start(ap, fmt);
	for (const char *p = fmt; *p && r == 0; p++) {
		if (p[0] != '%') {
			r = buf_append(&b, p, 1);
			continue;
		}
		assert(p[1] == 's');
		p++;
		for (const unsigned char *s = (const unsigned char *)va_arg(ap, const char *);
		     *s && r == 0; s++) {
			if (isalnum(*s) || strchr("-._~", *s)) {
				r = buf_append(&b, s, 1);
			} else {
				r = buf_printf(&b, "%%%02X", *s);
			}
		}
	}
	va_end(ap);
	if (r == 0) {
		r = buf_append(&b, "", 1);
	}
	return r == 0 ? strdup((const char *)buf_data(&b)) : NULL;
}

static size_t take_body(char *p, size_t size, size_t n, void *user)
{
	struct sink *s = user;
	size_t len = size * n;
	long status = 0;

	curl_easy_getinfo(s->rest->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status < 300 && s->fd >= 0) {
		s->result = write_all(s->fd, p, len);
		return s->result < 0 ? 0 : len;
	}
	if (status < 300 && s->sse) {
		s->result = sse_input(s->sse, p, len);
		return s->result != 0 ? 0 : len;
	}
	if (buf_append(&s->head, p, len) < 0) {
		s->too_big = true;
		return 0;
	}
	return len;
}

static int add_header(struct curl_slist **list, const char *name, const char *value)
{
	_cleanup_free_ char *line = strf("%s: %s", name, value);
	struct curl_slist *l = line ? curl_slist_append(*list, line) : NULL;

	if (!l) {
		return -ENOMEM;
	}
	*list = l;
	return 0;
}

static int set_up(struct rest *r, const char *method, const char *path, const char *body,
		  const struct curl_slist *headers, struct sink *sink)
{
	const struct config *c = r->config;
	_cleanup_free_ char *url = strf("%s%s", c->url, path);
	CURL *h = r->curl;

	if (!url) {
		return -ENOMEM;
	}
	if (transport_set_up(h, c, url, r->error) < 0) {
		return -ENOMEM;
	}
	curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
	if (sink->sse) {
		curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, sink->timeout_ms);
		curl_easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1L);
		curl_easy_setopt(h, CURLOPT_LOW_SPEED_TIME, EVENTS_SILENCE_S);
	} else if (sink->fd < 0) {
		curl_easy_setopt(h, CURLOPT_TIMEOUT, CALL_TIMEOUT_S);
	}
	curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, method);
	if (body) {
		curl_easy_setopt(h, CURLOPT_POSTFIELDS, body);
	}
	curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(h, CURLOPT_WRITEDATA, sink);
	return 0;
}

/* The connection failed before a whole answer came, in a way that may pass. */
static bool blinked(CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_CONNECT:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_SSL_CONNECT_ERROR:
		return true;
	default:
		return false;
	}
}

static void nap(unsigned ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

/* What came of curl_easy_perform(). 0: the status is good. */
static int outcome(struct rest *r, CURLcode code, struct sink *sink, struct fault *fault)
{
	long status = 0;

	if (sink->too_big) {
		return fault_set(fault, FAULT_TOO_LARGE, "the server's answer is too long");
	}
	if (sink->result != 0) {
		return 0; /* the sink ended it, and knows why */
	}
	if (code == CURLE_OPERATION_TIMEDOUT && sink->sse) {
		return 0; /* the caller's time, or a silence that only a broken connection has */
	}
	if (code != CURLE_OK) {
		return transport_fault(r->config, code, r->error, fault);
	}
	curl_easy_getinfo(r->curl, CURLINFO_RESPONSE_CODE, &status);
	return status >= 200 && status < 300 ? 0 : transport_problem(&sink->head, status, fault);
}

/* Performs the request, again where that is right: the connection broke, or dvmd is just being
 * restarted behind the gate. */
static int perform(struct rest *r, const char *method, const char *path, const char *body,
		   const char *last_id, struct sink *sink, struct fault *fault)
{
	_cleanup_(slist_freep) struct curl_slist *headers = NULL;
	_cleanup_free_ char *bearer = strf("Bearer %s", r->config->token);
	char key[SECRET_LEN + 1];
	CURLcode code;
	int q;

	if (!bearer) {
		return -ENOMEM;
	}
	random_secret(key);
	q = add_header(&headers, "Authorization", bearer);
	if (q == 0 && strcmp(method, "POST") == 0) {
		q = add_header(&headers, "Idempotency-Key", key);
	}
	if (q == 0) {
		q = add_header(&headers, "Accept",
			       sink->sse ? "text/event-stream"
					 : "application/json, application/problem+json, */*");
	}
	if (q == 0 && body) {
		q = add_header(&headers, "Content-Type", "application/json");
	}
	if (q == 0 && last_id) {
		q = add_header(&headers, "Last-Event-ID", last_id);
	}
	if (q < 0) {
		return q;
	}
	for (unsigned try = 1, wait_ms = RETRY_FIRST_MS;; try++, wait_ms *= 2) {
		bool again = try < REST_TRIES && sink->fd < 0 && !sink->sse;

		buf_clear(&sink->head);
		q = set_up(r, method, path, body, headers, sink);
		if (q < 0) {
			return q;
		}
		code = curl_easy_perform(r->curl);
		if (!again || !blinked(code)) {
			q = outcome(r, code, sink, fault);
			if (!again || q != -EREMOTEIO || code != CURLE_OK || !fault ||
			    fault->code != FAULT_HOST_AWAY) {
				return q;
			}
		}
		nap(wait_ms);
	}
}

int rest_call(struct rest *r, const char *method, const char *path, json_t *body, json_t **ret,
	      struct fault *fault)
{
	_cleanup_(json_decrefp) _unused_ json_t *owned = body;
	_cleanup_free_ char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	_cleanup_(sink_fini) struct sink sink = { .rest = r, .fd = -1 };
	json_t *answer;
	int q;

	buf_init(&sink.head, REST_ANSWER_MAX);
	if (body && !text) {
		return -ENOMEM;
	}
	/* A POST without a body still has a length. */
	q = perform(r, method, path, !text && strcmp(method, "POST") == 0 ? "" : text, NULL, &sink,
		    fault);
	if (q < 0) {
		return q;
	}
	if (!ret) {
		return 0;
	}
	answer = buf_len(&sink.head) == 0 ? json_null()
					  : json_loadb((const char *)buf_data(&sink.head),
						       buf_len(&sink.head), 0, NULL);
	if (!answer) {
		return fault_set(fault, FAULT_PROTOCOL, "the server's answer is not JSON");
	}
	*ret = answer;
	return 0;
}

int rest_download(struct rest *r, const char *path, int fd, struct fault *fault)
{
	_cleanup_(sink_fini) struct sink sink = { .rest = r, .fd = fd };
	int q;

	buf_init(&sink.head, REST_ANSWER_MAX);
	q = perform(r, "GET", path, NULL, NULL, &sink, fault);
	if (q == 0 && sink.result < 0) {
		return fault_set(fault, sink.result == -ENOSPC ? FAULT_DISK_FULL : FAULT_INTERNAL,
				 "cannot write what was downloaded: %s", strerror(-sink.result));
	}
	return q;
}

int rest_events(struct rest *r, const char *path, char **io_last_id, usec_t timeout,
		rest_event_fn fn, void *user, struct fault *fault)
{
	_cleanup_(sse_fini) struct sse sse;
	_cleanup_(sink_fini) struct sink sink = { .rest = r, .fd = -1, .sse = &sse };
	char *id;
	int q;

	buf_init(&sink.head, REST_ANSWER_MAX);
	sse_init(&sse, fn, user);
	if (timeout != USEC_INFINITY) {
		sink.timeout_ms = (long)(timeout / USEC_PER_MSEC) + 1;
	}
	q = perform(r, "GET", path, NULL, io_last_id ? *io_last_id : NULL, &sink, fault);
	if (io_last_id && sse.id[0]) {
		id = strdup(sse.id);
		if (!id) {
			return -ENOMEM;
		}
		free(*io_last_id);
		*io_last_id = id;
	}
	if (q == 0 && sink.result == -EMSGSIZE) {
		return fault_set(fault, FAULT_TOO_LARGE, "an event is too long");
	}
	return q == 0 && sink.result == -ENOMEM ? -ENOMEM : q;
}
