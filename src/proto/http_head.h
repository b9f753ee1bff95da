/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of an HTTP/1.1 request (RFC 9112), read strictly: what dvm-gate must understand before
 * it passes a request on, and nothing more. Sans-I/O.
 */
#pragma once

#include <stdbool.h>

#include "buf.h"

#define HTTP_HEAD_MAX (16 * 1024)
#define HTTP_FIELDS_MAX 64

struct http_field {
	const char *name, *value; /* into the caller's bytes, not NUL-terminated */
	size_t name_len, value_len;
};

struct http_head {
	const char *method, *target;
	size_t method_len, target_len;
	unsigned minor; /* of HTTP/1.x */
	struct http_field fields[HTTP_FIELDS_MAX];
	size_t n_fields;
	bool has_length, chunked;
	uint64_t content_length;
};

/* 1: a whole head of *ret_used bytes; 0: more needed; -EPROTO: malformed (bare CR/LF, folded line,
 * both Content-Length and Transfer-Encoding, two lengths, bytes < 0x20 …); -EMSGSIZE: beyond
 * HTTP_HEAD_MAX. */
int http_head_decode(const char *p, size_t len, struct http_head *ret,
		     size_t *ret_used) _must_check_;
/* First field of that name, case-insensitive; NULL if none. */
const struct http_field *http_head_field(const struct http_head *h, const char *name);
/* True where a comma-separated field lists `token` (case-insensitive). */
bool http_field_has_token(const struct http_field *f, const char *token);
/* Appends the head for the next hop, in the client's version, for the answer goes back as it is.
 * Hop-by-hop fields and those in `drop` (NULL-ended, may be NULL) are left out, "Connection: close"
 * and the lines in `extra`
 * ("Name: value\r\n…", may be NULL) added. Nothing is appended on failure. */
int http_head_forward(struct buf *out, const struct http_head *h, const char *const *drop,
		      const char *extra) _must_check_;
