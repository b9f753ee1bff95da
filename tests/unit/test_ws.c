/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of src/io/ws.c: both roles against each other, and frames made by hand. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"
#include "ws.h"

struct end {
	struct ws *ws;
	struct buf out, payload;
};

struct fixture {
	struct end server, client;
};

static void end_init(struct end *e, enum ws_role role)
{
	assert_int_equal(ws_new(role, &e->ws), 0);
	buf_init(&e->out, 1024 * 1024);
	buf_init(&e->payload, 1024 * 1024);
}

static void end_fini(struct end *e)
{
	ws_free(e->ws);
	buf_fini(&e->out);
	buf_fini(&e->payload);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	end_init(&f->server, WS_SERVER);
	end_init(&f->client, WS_CLIENT);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	end_fini(&f->server);
	end_fini(&f->client);
	free(f);
	return 0;
}

static int pass(struct end *from, struct end *to)
{
	return ws_input(to->ws, &from->out, &to->payload, &to->out);
}

static int feed(struct end *to, const char *bytes, size_t len)
{
	struct buf in;
	int r;

	buf_init(&in, 65536);
	assert_int_equal(buf_append(&in, bytes, len), 0);
	r = ws_input(to->ws, &in, &to->payload, &to->out);
	buf_fini(&in);
	return r;
}

static void test_bytes_both_ways(void **state)
{
	static const size_t sizes[] = { 1, 125, 126, 4096, 65535, 65536, 200000 };
	struct fixture *f = *state;
	uint8_t *bytes = malloc(200000);

	for (size_t i = 0; i < 200000; i++) {
		bytes[i] = i * 31 + i / 251;
	}
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		assert_int_equal(ws_send(f->client.ws, bytes, sizes[i], &f->client.out), 0);
		assert_true(buf_len(&f->client.out) <= sizes[i] + WS_OVERHEAD);
		assert_int_equal(pass(&f->client, &f->server), 0);
		assert_int_equal(buf_len(&f->server.payload), sizes[i]);
		assert_memory_equal(buf_data(&f->server.payload), bytes, sizes[i]);
		buf_clear(&f->server.payload);

		assert_int_equal(ws_send(f->server.ws, bytes, sizes[i], &f->server.out), 0);
		assert_int_equal(pass(&f->server, &f->client), 0);
		assert_int_equal(buf_len(&f->client.payload), sizes[i]);
		assert_memory_equal(buf_data(&f->client.payload), bytes, sizes[i]);
		buf_clear(&f->client.payload);
	}
	free(bytes);
}

static void test_full_payload_stops_input(void **state)
{
	struct fixture *f = *state;
	static uint8_t bytes[50000];
	struct buf small;
	size_t total = 0;

	buf_init(&small, 2 * WS_STEP_MAX);
	assert_int_equal(ws_send(f->client.ws, bytes, sizeof(bytes), &f->client.out), 0);
	while (total < sizeof(bytes)) {
		assert_int_equal(ws_input(f->server.ws, &f->client.out, &small, &f->server.out), 0);
		assert_true(buf_len(&small) > 0);
		total += buf_len(&small);
		buf_clear(&small);
	}
	assert_int_equal(total, sizeof(bytes));
	buf_fini(&small);
}

static void test_full_output_refuses(void **state)
{
	struct fixture *f = *state;
	struct buf small;

	buf_init(&small, 64);
	assert_int_equal(ws_send(f->server.ws, "0123456789", 10, &small), 0);
	assert_int_equal(ws_send(f->server.ws, "01234567890123456789012345678901234567890123456789",
				 50, &small),
			 -ENOBUFS);
	assert_int_equal(buf_len(&small), 12);
	buf_fini(&small);
}

static void test_ping_is_answered(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ws_ping(f->server.ws, &f->server.out), 0);
	assert_int_equal(pass(&f->server, &f->client), 0);
	assert_int_equal(buf_len(&f->client.payload), 0);
	assert_int_equal(buf_len(&f->client.out), 6);
	assert_int_equal(pass(&f->client, &f->server), 0);
	assert_int_equal(buf_len(&f->server.payload), 0);
}

static void test_close(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ws_send(f->client.ws, "bye", 3, &f->client.out), 0);
	assert_int_equal(ws_close(f->client.ws, WS_NORMAL, &f->client.out), 0);
	assert_int_equal(pass(&f->client, &f->server), -EPIPE);
	assert_int_equal(buf_len(&f->server.payload), 3);
	assert_int_equal(ws_peer_code(f->server.ws), WS_NORMAL);
	assert_true(buf_len(&f->server.out) > 0); /* the answer */
	assert_int_equal(ws_close(f->server.ws, WS_NORMAL, &f->server.out), 0);
	assert_int_equal(ws_send(f->server.ws, "x", 1, &f->server.out), -EPIPE);
	assert_int_equal(pass(&f->server, &f->client), -EPIPE);
	assert_int_equal(ws_peer_code(f->client.ws), WS_NORMAL);
}

static void test_fragments_and_controls_between(void **state)
{
	struct fixture *f = *state;
	static const char frames[] = "\x02\x82\0\0\0\0ab"  /* begins a binary message */
				     "\x89\x81\0\0\0\0p"   /* ping */
				     "\x00\x80\0\0\0\0"	   /* empty middle */
				     "\x80\x82\0\0\0\0cd"; /* its end */

	assert_int_equal(feed(&f->server, frames, sizeof(frames) - 1), 0);
	assert_int_equal(buf_len(&f->server.payload), 4);
	assert_memory_equal(buf_data(&f->server.payload), "abcd", 4);
	assert_int_equal(buf_len(&f->server.out), 3);
	assert_memory_equal(buf_data(&f->server.out), "\x8a\x01p", 3);
}

static void test_rules_are_kept(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		unsigned code;
	} cases[] = {
		{ "\x82\x01x", 3, WS_PROTOCOL },	      /* not masked */
		{ "\x81\x81\0\0\0\0x", 7, WS_POLICY },	      /* text */
		{ "\xc2\x81\0\0\0\0x", 7, WS_PROTOCOL },      /* reserved bit */
		{ "\x83\x81\0\0\0\0x", 7, WS_PROTOCOL },      /* reserved opcode */
		{ "\x80\x81\0\0\0\0x", 7, WS_PROTOCOL },      /* continues nothing */
		{ "\x09\x81\0\0\0\0x", 7, WS_PROTOCOL },      /* ping in fragments */
		{ "\x89\xfe\0\x7e\0\0\0\0", 8, WS_PROTOCOL }, /* ping too long */
		{ "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff", 10,
		  WS_PROTOCOL },			       /* length beyond 2^63 */
		{ "\x82\xfe\0\x01\0\0\0\0x", 9, WS_PROTOCOL }, /* length not the shortest */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct end server;
		unsigned code;

		end_init(&server, WS_SERVER);
		assert_int_equal(feed(&server, cases[i].bytes, cases[i].len), -EPIPE);
		assert_true(buf_len(&server.out) >= 2);
		assert_int_equal(buf_data(&server.out)[0], 0x88);
		code = buf_len(&server.out) < 4
			       ? 0
			       : buf_data(&server.out)[2] << 8 | buf_data(&server.out)[3];
		assert_int_equal(code, cases[i].code);
		assert_int_equal(buf_len(&server.payload), 0);
		end_fini(&server);
	}
}

static void test_accept_key(void **state)
{
	char out[WS_ACCEPT_LEN + 1];

	/* RFC 6455, 1.3 */
	assert_int_equal(ws_accept_key("dGhlIHNhbXBsZSBub25jZQ==", 24, out), 0);
	assert_string_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	assert_int_equal(ws_accept_key("dGhlIHNhbXBsZSBub25jZQ=", 23, out), -EINVAL);
	assert_int_equal(ws_accept_key("dGhlIHNhbXBsZSBub25jZSE=", 24, out), -EINVAL);
	assert_int_equal(ws_accept_key("************************", 24, out), -EINVAL);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_bytes_both_ways),
		TEST(test_full_payload_stops_input),
		TEST(test_full_output_refuses),
		TEST(test_ping_is_answered),
		TEST(test_close),
		TEST(test_fragments_and_controls_between),
		cmocka_unit_test(test_rules_are_kept),
		cmocka_unit_test(test_accept_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
