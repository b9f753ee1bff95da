/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 on a listening unix socket, by libmicrohttpd on the loop: whole requests in, answers
 * out, now or later.
 *
 * Theory of operation: libmicrohttpd runs in its external epoll mode; its epoll fd and its next
 * time-out are two event sources. A request that is not answered at once is suspended, and resumed
 * by its answer. A streamed answer is pulled: when the stream has nothing, the connection is
 * suspended until http_request_wake(). So nothing waits in memory for a client that does not read,
 * but what the stream's owner keeps; one that takes nothing for HTTP_IDLE_TIMEOUT is dropped.
 *
 * A request is owned by its handler until it is answered, or, with a stream, until `closed`.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "macro.h"

#define HTTP_BODY_MAX (1024 * 1024)
#define HTTP_CONNECTIONS_MAX 1024
#define HTTP_IDLE_TIMEOUT (60 * USEC_PER_SEC)
#define HTTP_LENGTH_UNKNOWN UINT64_MAX

struct http_server;
struct http_request;

struct http_server_ops {
	/* A whole request: to be answered exactly once, by http_request_reply() or
	 * http_request_stream(). */
	void (*request)(struct http_request *r, void *user);
};

/* Takes `listen_fd`. */
int http_server_new_take(sd_event *event, int listen_fd, const struct http_server_ops *ops,
			 void *user, struct http_server **ret) _must_check_;
/* Drops every connection; streams get `closed`. The handler's requests that are not answered yet
 * stay valid, and their answers go nowhere. */
struct http_server *http_server_free(struct http_server *s);

/* All valid until the request is answered. */
const char *http_request_method(const struct http_request *r);
const char *http_request_target(const struct http_request *r); /* path and query as they came */
const char *http_request_header(const struct http_request *r,
				const char *name); /* NULL if absent */
/* NUL-terminated; *ret_len does not count that. */
const char *http_request_body(const struct http_request *r, size_t *ret_len);
/* The body is larger than HTTP_BODY_MAX and was thrown away. */
bool http_request_too_large(const struct http_request *r);

/* A header of the answer, copied; at most 12. */
void http_request_add_header(struct http_request *r, const char *name, const char *value);
/* Takes `body` (from malloc; NULL: none). `type` NULL: no Content-Type. */
void http_request_reply_take(struct http_request *r, unsigned status, const char *type, char *body,
			     size_t len);

struct http_stream_ops {
	/* Puts at most `max` bytes at `p`: how many, 0: none now (http_request_wake() when there
	 * are more), -ENODATA: that was all, else -errno: the connection is dropped. */
	ssize_t (*pull)(void *p, size_t max, void *user);
	/* The connection is gone, or all was sent. Comes exactly once. */
	void (*closed)(void *user);
};
/* `length`: of the body, or HTTP_LENGTH_UNKNOWN. `r` is valid for http_request_wake() until
 * `closed`, which may come before this returns where there is no client any more. */
void http_request_stream(struct http_request *r, unsigned status, const char *type, uint64_t length,
			 const struct http_stream_ops *ops, void *user);
void http_request_wake(struct http_request *r);
