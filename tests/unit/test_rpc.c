/* SPDX-License-Identifier: Apache-2.0 */
/* RPC frames: what is encoded is decoded, cut anywhere; what is malformed is refused. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rpc.h"
#include "test.h"

static struct buf frame_of(const char *body)
{
	uint8_t header[4] = { 0 };
	struct buf b;

	header[2] = (uint8_t)(strlen(body) >> 8);
	header[3] = (uint8_t)strlen(body);
	buf_init(&b, 1 << 20);
	assert_int_equal(buf_append(&b, header, 4), 0);
	assert_int_equal(buf_append(&b, body, strlen(body)), 0);
	return b;
}

static int decode_text(const char *body, struct rpc_message *m)
{
	struct buf b = frame_of(body);
	size_t used = 0;
	/* Exactly as large as it is, so that a sanitizer sees a read beyond. */
	uint8_t *copy = malloc(buf_len(&b));
	int r;

	assert_non_null(copy);
	memcpy(copy, buf_data(&b), buf_len(&b));
	for (size_t cut = 0; cut < buf_len(&b); cut++) {
		assert_int_equal(rpc_decode(copy, cut, m, &used), 0);
	}
	r = rpc_decode(copy, buf_len(&b), m, &used);
	if (r == 1) {
		assert_int_equal(used, buf_len(&b));
	}
	free(copy);
	buf_fini(&b);
	return r;
}

static void reads_the_four_kinds(void **state)
{
	struct rpc_message m;

	assert_int_equal(
		decode_text("{\"id\":7,\"method\":\"a.b\",\"params\":{\"x\":1},\"new\":0}", &m), 1);
	assert_int_equal(m.kind, RPC_CALL);
	assert_int_equal(m.id, 7);
	assert_string_equal(m.method, "a.b");
	assert_int_equal(json_integer_value(json_object_get(m.body, "x")), 1);
	rpc_message_fini(&m);

	assert_int_equal(decode_text("{\"method\":\"a.b\"}", &m), 1);
	assert_int_equal(m.kind, RPC_NOTICE);
	assert_true(json_is_object(m.body));
	rpc_message_fini(&m);

	assert_int_equal(decode_text("{\"id\":1,\"result\":{}}", &m), 1);
	assert_int_equal(m.kind, RPC_RESULT);
	rpc_message_fini(&m);

	assert_int_equal(
		decode_text("{\"id\":1,\"fault\":{\"code\":\"vm-gone\",\"message\":\"m\"}}", &m),
		1);
	assert_int_equal(m.kind, RPC_FAULT);
	assert_int_equal(m.fault.code, FAULT_VM_GONE);
	assert_string_equal(m.fault.message, "m");
	assert_string_equal(m.fault.hint, "");
	rpc_message_fini(&m);
}

static void refuses_what_is_malformed(void **state)
{
	static const char *const bodies[] = {
		"[]",
		"{}",
		"{\"id\":1}",
		"{\"id\":0,\"method\":\"a\"}",
		"{\"id\":-1,\"method\":\"a\"}",
		"{\"id\":\"1\",\"method\":\"a\"}",
		"{\"id\":1.5,\"method\":\"a\"}",
		"{\"id\":99999999999999999999,\"method\":\"a\"}",
		"{\"id\":1,\"method\":\"\"}",
		"{\"id\":1,\"method\":2}",
		"{\"id\":1,\"method\":\"a\",\"params\":[]}",
		"{\"id\":1,\"method\":\"a\",\"result\":{}}",
		"{\"id\":1,\"result\":{},\"fault\":{\"code\":\"internal\"}}",
		"{\"id\":1,\"result\":null}",
		"{\"id\":1,\"fault\":{}}",
		"{\"id\":1,\"fault\":\"internal\"}",
		"{\"result\":{}}",
		"{\"method\":\"a\",\"method\":\"b\"}",
		"{\"method\":\"a\"} ,",
		"{\"method\":\"\xff\"}",
		"{\"method\":\"a\\u0000b\"}",
		"{\"method\":\"1234567890123456789012345678901234567890123456789012345678901234\"}",
	};
	struct rpc_message m;

	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		assert_int_equal(decode_text(bodies[i], &m), -EPROTO);
	}
}

static void refuses_deep_nesting_and_wrong_lengths(void **state)
{
	static const uint8_t too_long[] = { 0, 0x10, 0, 1 }, too_short[] = { 0, 0, 0, 1 };
	char deep[8192] = "{\"method\":\"a\",\"params\":";
	struct rpc_message m;
	size_t used;

	memset(deep + strlen(deep), '[', 5000);
	assert_int_equal(decode_text(deep, &m), -EPROTO);
	assert_int_equal(rpc_decode(too_long, 4, &m, &used), -EPROTO);
	assert_int_equal(rpc_decode(too_short, 4, &m, &used), -EPROTO);
}

static void writes_what_it_reads(void **state)
{
	struct rpc_message in = { .kind = RPC_CALL, .id = 1, .method = "host.info" }, out;
	struct buf b;
	size_t used;

	buf_init(&b, 4096);
	assert_int_equal(rpc_encode(&b, &in), 0);
	in.body = json_pack("{s:s}", "text", "é\n\"");
	assert_non_null(in.body);
	assert_int_equal(rpc_encode(&b, &in), 0);
	assert_int_equal(in.body->refcount, 1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(rpc_decode(buf_data(&b), buf_len(&b), &out, &used), 1);
		assert_int_equal(out.kind, RPC_CALL);
		assert_string_equal(out.method, "host.info");
		assert_int_equal(json_object_size(out.body), (size_t)i);
		rpc_message_fini(&out);
		buf_consume(&b, used);
	}
	assert_int_equal(buf_len(&b), 0);
	rpc_message_fini(&in);

	in = (struct rpc_message){ .kind = RPC_FAULT, .id = 3 };
	fault_set(&in.fault, FAULT_QUOTA, "too many");
	assert_int_equal(rpc_encode(&b, &in), 0);
	assert_int_equal(rpc_decode(buf_data(&b), buf_len(&b), &out, &used), 1);
	assert_memory_equal(&in.fault, &out.fault, sizeof(in.fault));
	buf_fini(&b);
}

static void large_bodies_have_a_limit(void **state)
{
	struct rpc_message m = { .kind = RPC_NOTICE, .method = "n" };
	char *text = malloc(RPC_BODY_MAX + 1);
	struct buf b;

	assert_non_null(text);
	memset(text, 'x', RPC_BODY_MAX);
	text[RPC_BODY_MAX] = '\0';
	buf_init(&b, 8 << 20);
	m.body = json_pack("{s:s}", "text", text);
	assert_int_equal(rpc_encode(&b, &m), -EMSGSIZE);
	rpc_message_fini(&m);
	text[RPC_BODY_MAX - 100] = '\0';
	m.body = json_pack("{s:s}", "text", text);
	assert_int_equal(rpc_encode(&b, &m), 0);
	buf_fini(&b);
	buf_init(&b, 4096);
	assert_int_equal(rpc_encode(&b, &m), -ENOBUFS);
	assert_int_equal(buf_len(&b), 0);
	buf_fini(&b);
	rpc_message_fini(&m);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_the_four_kinds),
		cmocka_unit_test(refuses_what_is_malformed),
		cmocka_unit_test(refuses_deep_nesting_and_wrong_lengths),
		cmocka_unit_test(writes_what_it_reads),
		cmocka_unit_test(large_bodies_have_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
