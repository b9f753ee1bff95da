/* SPDX-License-Identifier: Apache-2.0 */
/* The head of a request: read as RFC 9112 says, or refused where two readers could differ. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_head.h"
#include "test.h"

/* Decodes a copy without a byte behind it; the head's pointers are into `text`. */
static int decode(const char *text, size_t len, struct http_head *h, size_t *used)
{
	char *copy = malloc(len ? len : 1);
	int r;

	assert_non_null(copy);
	memcpy(copy, text, len);
	r = http_head_decode(copy, len, h, used);
	free(copy);
	return r == 1 ? http_head_decode(text, len, h, used) : r;
}

static void reads_a_request(void **state)
{
	static const char text[] = "POST /v1/sessions?x=%20 HTTP/1.1\r\n"
				   "Host: gate\r\n"
				   "X-Empty:\r\n"
				   "Accept:  a, b\t \r\n"
				   "content-length: 12\r\n"
				   "\r\n"
				   "body";
	size_t head_len = sizeof(text) - 5, used;
	struct http_head h;

	for (size_t cut = 0; cut < head_len; cut++) {
		assert_int_equal(decode(text, cut, &h, &used), 0);
	}
	for (size_t len = head_len; len < sizeof(text); len++) {
		assert_int_equal(decode(text, len, &h, &used), 1);
		assert_int_equal(used, head_len);
	}
	assert_int_equal(h.minor, 1);
	assert_int_equal(h.method_len, 4);
	assert_memory_equal(h.method, "POST", 4);
	assert_int_equal(h.target_len, 18);
	assert_memory_equal(h.target, "/v1/sessions?x=%20", 18);
	assert_int_equal(h.n_fields, 4);
	assert_true(h.has_length);
	assert_false(h.chunked);
	assert_int_equal(h.content_length, 12);
	assert_int_equal(http_head_field(&h, "x-empty")->value_len, 0);
	assert_int_equal(http_head_field(&h, "ACCEPT")->value_len, 4);
	assert_null(http_head_field(&h, "Accep"));
}

static void refuses_what_readers_differ_on(void **state)
{
	static const char *const heads[] = {
		"\r\n",
		"GET / HTTP/1.1\n",
		"GET / HTTP/1.1\rX",
		"GET / HTTP/2.0\r\n",
		"GET / HTTP/1.2\r\n",
		"GET / http/1.1\r\n",
		"GET / HTTP/1.1 \r\n",
		"GET /\r\n",
		"GET\r\n",
		" GET / HTTP/1.1\r\n",
		"GET  / HTTP/1.1\r\n",
		"GET /a b HTTP/1.1\r\n",
		"GET /\xc3\xa9 HTTP/1.1\r\n",
		"GET  HTTP/1.1\r\n",
		"GET /\t HTTP/1.1\r\n",
		"G(T / HTTP/1.1\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n",
		"GET / HTTP/1.1\r\nHost : a\r\n",
		"GET / HTTP/1.1\r\n: a\r\n",
		"GET / HTTP/1.1\r\nHost\r\n",
		"GET / HTTP/1.1\r\nX: a\rb\r\n",
		"GET / HTTP/1.1\r\nX: a\nY: b\r\n",
		"GET / HTTP/1.1\r\nX: a\x01\r\n",
		"GET / HTTP/1.1\r\nX: a\x7f\r\n",
		"GET / HTTP/1.1\r\n\r\n", /* no Host */
		"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 12345678901234567890\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n",
		"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n",
	};
	struct http_head h;
	size_t used;

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		if (decode(heads[i], strlen(heads[i]), &h, &used) != -EPROTO) {
			fail_msg("taken: %s", heads[i]);
		}
	}
	assert_int_equal(decode("GET / HTTP/1.1\r\nA:\0b\r\n", 23, &h, &used), -EPROTO);
	assert_int_equal(decode("GET / HTTP/1.0\r\n\r\n", 18, &h, &used), 1);
}

static void has_limits(void **state)
{
	char text[HTTP_HEAD_MAX + 100] = "GET / HTTP/1.1\r\nHost: a\r\n";
	size_t start = strlen(text), len = start, used;
	struct http_head h;

	memset(text + len, 'a', sizeof(text) - len);
	assert_int_equal(decode(text, HTTP_HEAD_MAX - 1, &h, &used), 0);
	assert_int_equal(decode(text, HTTP_HEAD_MAX, &h, &used), -EMSGSIZE);
	assert_int_equal(decode(text, sizeof(text), &h, &used), -EMSGSIZE);
	/* The last byte of the largest head. */
	text[start] = 'X';
	text[start + 1] = ':';
	memcpy(text + HTTP_HEAD_MAX - 4, "\r\n\r\n", 4);
	assert_int_equal(decode(text, sizeof(text), &h, &used), 1);
	assert_int_equal(used, HTTP_HEAD_MAX);

	for (int i = 1; i < HTTP_FIELDS_MAX; i++) {
		len += (size_t)sprintf(text + len, "F%d: x\r\n", i);
	}
	memcpy(text + len, "\r\n", 2);
	assert_int_equal(decode(text, len + 2, &h, &used), 1);
	assert_int_equal(h.n_fields, HTTP_FIELDS_MAX);
	memcpy(text + len, "G: x\r\n\r\n", 8);
	assert_int_equal(decode(text, len + 8, &h, &used), -EMSGSIZE);
}

static void finds_tokens(void **state)
{
	const struct http_field f = { .value = "keep-alive ,\tUpgrade,,x", .value_len = 23 };

	assert_true(http_field_has_token(&f, "upgrade"));
	assert_true(http_field_has_token(&f, "Keep-Alive"));
	assert_true(http_field_has_token(&f, "x"));
	assert_false(http_field_has_token(&f, "grade"));
	assert_false(http_field_has_token(&f, "keep"));
	assert_false(http_field_has_token(&f, ""));
}

static void forwards_without_what_is_for_this_hop(void **state)
{
	static const char text[] = "PUT /x HTTP/1.0\r\n"
				   "Host: gate\r\n"
				   "Connection: close, X-Hop, Content-Length, Host\r\n"
				   "Upgrade: x\r\n"
				   "x-hop: 1\r\n"
				   "X-Forwarded-For: liar\r\n"
				   "Authorization: Bearer t\r\n"
				   "Content-Length: 3\r\n"
				   "\r\n";
	static const char *const drop[] = { "x-forwarded-for", NULL };
	struct http_head h;
	struct buf b;
	size_t used;

	assert_int_equal(decode(text, sizeof(text) - 1, &h, &used), 1);
	buf_init(&b, 256);
	assert_int_equal(http_head_forward(&b, &h, drop, "X-Real: 1\r\n"), 0);
	assert_int_equal(buf_append(&b, "", 1), 0);
	assert_string_equal((char *)buf_data(&b), "PUT /x HTTP/1.0\r\n"
						  "Host: gate\r\n"
						  "Authorization: Bearer t\r\n"
						  "Content-Length: 3\r\n"
						  "Connection: close\r\n"
						  "X-Real: 1\r\n"
						  "\r\n");
	assert_int_equal(http_head_forward(&b, &h, NULL, NULL), 0);
	used = buf_len(&b);
	assert_int_equal(http_head_forward(&b, &h, NULL, NULL), -ENOBUFS);
	assert_int_equal(buf_len(&b), used);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_request),
		cmocka_unit_test(refuses_what_readers_differ_on),
		cmocka_unit_test(has_limits),
		cmocka_unit_test(finds_tokens),
		cmocka_unit_test(forwards_without_what_is_for_this_hop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
