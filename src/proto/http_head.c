/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of an HTTP/1.1 request, read strictly.
 *
 * The next hop reads the same bytes again. Whatever two readers may understand differently (RFC
 * 9112 §11.2, request smuggling) is refused here: bare CR or LF, folded lines, blanks before a
 * colon, two framings, two lengths.
 */
#include "http_head.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* tchar of RFC 9110 §5.6.2 */
static bool is_token_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static size_t token_length(const char *p, size_t len)
{
	size_t n = 0;

	while (n < len && is_token_char(p[n])) {
		n++;
	}
	return n;
}

static bool name_is(const char *p, size_t len, const char *name)
{
	return len == strlen(name) && strncasecmp(p, name, len) == 0;
}

/* METHOD SP TARGET SP HTTP/1.x */
static int decode_request_line(const char *p, size_t len, struct http_head *h)
{
	static const char version[] = " HTTP/1.";
	size_t version_len = sizeof(version) - 1;

	h->method = p;
	h->method_len = token_length(p, len);
	if (h->method_len == 0 || h->method_len == len || p[h->method_len] != ' ') {
		return -EPROTO;
	}
	p += h->method_len + 1;
	len -= h->method_len + 1;
	if (len < version_len + 2 || memcmp(p + len - version_len - 1, version, version_len) != 0) {
		return -EPROTO;
	}
	if (p[len - 1] != '0' && p[len - 1] != '1') {
		return -EPROTO;
	}
	h->minor = (unsigned)(p[len - 1] - '0');
	h->target = p;
	h->target_len = len - version_len - 1;
	for (size_t i = 0; i < h->target_len; i++) {
		if (p[i] <= 0x20 ||
		    p[i] >= 0x7f) { /* also where char is signed: no bytes >= 0x80 */
			return -EPROTO;
		}
	}
	return 0;
}

static int decode_length(const struct http_field *f, uint64_t *ret)
{
	uint64_t value = 0;

	if (f->value_len == 0 || f->value_len > 19) { /* 19 digits fit 64 bits */
		return -EPROTO;
	}
	for (size_t i = 0; i < f->value_len; i++) {
		if (f->value[i] < '0' || f->value[i] > '9') {
			return -EPROTO;
		}
		value = value * 10 + (uint64_t)(f->value[i] - '0');
	}
	*ret = value;
	return 0;
}

/* What says how long the body is: once, and in one way. */
static int check_framing(struct http_head *h, const struct http_field *f)
{
	if (name_is(f->name, f->name_len, "content-length")) {
		if (h->has_length || h->chunked) {
			return -EPROTO;
		}
		h->has_length = true;
		return decode_length(f, &h->content_length);
	}
	if (name_is(f->name, f->name_len, "transfer-encoding")) {
		if (h->has_length || h->chunked || h->minor == 0 ||
		    !name_is(f->value, f->value_len, "chunked")) {
			return -EPROTO;
		}
		h->chunked = true;
	}
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static int decode_field(const char *p, size_t len, struct http_head *h)
{
	struct http_field *f = &h->fields[h->n_fields];

	if (h->n_fields == HTTP_FIELDS_MAX) {
		return -EMSGSIZE;
	}
	f->name = p;
	f->name_len = token_length(p, len);
	if (f->name_len == 0 || f->name_len == len || p[f->name_len] != ':') {
		return -EPROTO;
	}
	p += f->name_len + 1;
	len -= f->name_len + 1;
	while (len > 0 && is_blank(p[0])) {
		p++;
		len--;
	}
	while (len > 0 && is_blank(p[len - 1])) {
		len--;
	}
	for (size_t i = 0; i < len; i++) {
		if (((unsigned char)p[i] < 0x20 && p[i] != '\t') || p[i] == 0x7f) {
			return -EPROTO;
		}
	}
	f->value = p;
	f->value_len = len;
	h->n_fields++;
	return check_framing(h, f);
}

/* 1 and the length of the line without CR LF; 0: not here yet. */
static int next_line(const char *p, size_t len, size_t *ret_line)
{
	const char *lf = memchr(p, '\n', len);
	size_t line = lf ? (size_t)(lf - p) : len;

	if (lf && (line == 0 || p[line - 1] != '\r')) {
		return -EPROTO;
	}
	/* A CR anywhere but before the LF, or at the very end of what is here, is bare. */
	if (line > 0 && memchr(p, '\r', line - 1)) {
		return -EPROTO;
	}
	if (!lf) {
		return 0;
	}
	*ret_line = line - 1;
	return 1;
}

static int check_host(const struct http_head *h)
{
	unsigned hosts = 0;

	for (size_t i = 0; i < h->n_fields; i++) {
		hosts += name_is(h->fields[i].name, h->fields[i].name_len, "host");
	}
	/* RFC 9112 §3.2 */
	return hosts == 1 || (hosts == 0 && h->minor == 0) ? 0 : -EPROTO;
}

int http_head_decode(const char *p, size_t len, struct http_head *ret, size_t *ret_used)
{
	size_t seen = MIN(len, (size_t)HTTP_HEAD_MAX), at = 0;
	struct http_head head = { 0 };
	bool first = true;

	for (;;) {
		size_t line;
		int r = next_line(p + at, seen - at, &line);

		if (r == 0) {
			return len >= HTTP_HEAD_MAX ? -EMSGSIZE : 0;
		}
		if (r > 0 && line == 0 && !first) {
			break;
		}
		if (r > 0) {
			r = first ? decode_request_line(p + at, line, &head)
				  : decode_field(p + at, line, &head);
		}
		if (r < 0) {
			return r;
		}
		first = false;
		at += line + 2;
	}
	if (check_host(&head) < 0) {
		return -EPROTO;
	}
	*ret = head;
	*ret_used = at + 2;
	return 1;
}

const struct http_field *http_head_field(const struct http_head *h, const char *name)
{
	for (size_t i = 0; i < h->n_fields; i++) {
		if (name_is(h->fields[i].name, h->fields[i].name_len, name)) {
			return &h->fields[i];
		}
	}
	return NULL;
}

static bool list_has(const char *p, size_t len, const char *token, size_t token_len)
{
	const char *end = p + len;

	while (p < end) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		const char *item_end = comma ? comma : end;

		while (p < item_end && is_blank(*p)) {
			p++;
		}
		while (item_end > p && is_blank(item_end[-1])) {
			item_end--;
		}
		if (token_len > 0 && (size_t)(item_end - p) == token_len &&
		    strncasecmp(p, token, token_len) == 0) {
			return true;
		}
		p = comma ? comma + 1 : end;
	}
	return false;
}

bool http_field_has_token(const struct http_field *f, const char *token)
{
	return list_has(f->value, f->value_len, token, strlen(token));
}

static bool is_in(const char *const *names, const struct http_field *f)
{
	for (; names && *names; names++) {
		if (name_is(f->name, f->name_len, *names)) {
			return true;
		}
	}
	return false;
}

/* RFC 9110 §7.6.1: fields for this hop only, by name or because Connection names them. What frames
 * the body stays, for the body is passed on as it is. */
static bool is_hop_by_hop(const struct http_head *h, const struct http_field *f)
{
	static const char *const names[] = {
		"connection", "keep-alive",	    "proxy-connection",	   "te", "trailer",
		"upgrade",    "proxy-authenticate", "proxy-authorization", NULL,
	};
	static const char *const framing[] = { "content-length", "transfer-encoding", "host",
					       NULL };

	if (is_in(names, f)) {
		return true;
	}
	if (is_in(framing, f)) {
		return false;
	}
	for (size_t i = 0; i < h->n_fields; i++) {
		const struct http_field *c = &h->fields[i];

		if (name_is(c->name, c->name_len, "connection") &&
		    list_has(c->value, c->value_len, f->name, f->name_len)) {
			return true;
		}
	}
	return false;
}

static int append_field(struct buf *out, const struct http_field *f)
{
	return buf_printf(out, "%.*s: %.*s\r\n", (int)f->name_len, f->name, (int)f->value_len,
			  f->value);
}

static int append_head(struct buf *out, const struct http_head *h, const char *const *drop,
		       const char *extra)
{
	int r = buf_printf(out, "%.*s %.*s HTTP/1.%u\r\n", (int)h->method_len, h->method,
			   (int)h->target_len, h->target, h->minor);

	for (size_t i = 0; r == 0 && i < h->n_fields; i++) {
		const struct http_field *f = &h->fields[i];

		if (!is_hop_by_hop(h, f) && !is_in(drop, f)) {
			r = append_field(out, f);
		}
	}
	if (r < 0) {
		return r;
	}
	return buf_printf(out, "Connection: close\r\n%s\r\n", extra ? extra : "");
}

int http_head_forward(struct buf *out, const struct http_head *h, const char *const *drop,
		      const char *extra)
{
	size_t before = buf_len(out);
	int r = append_head(out, h, drop, extra);

	if (r < 0) {
		buf_truncate(out, before);
	}
	return r;
}
