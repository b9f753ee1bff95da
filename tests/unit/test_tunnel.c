/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of the tunnel: the bytes are those of PROTOCOL.tunnel; what it forbids is refused. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"
#include "test.h"
#include "tunnel.h"

/* Each frame beside its bytes, written from PROTOCOL.tunnel by hand. */
static const struct {
	struct tunnel_frame frame;
	const char *hex;
} known[] = {
	{ { .type = TUNNEL_HELLO, .hello = { 1, 2, 0x0102030405060708, 0xf1 } },
	  "010000000000001c44564d54554e0d0a00010002010203040506070800000000000000f1" },
	{ { .type = TUNNEL_OPEN,
	    .channel = 0x0102,
	    .open = { TUNNEL_FROM_KEPT, 0x10000, 7, "console/web-1" } },
	  "020001020000001fffffffffffffffff0000000000010000070d636f6e736f6c652f7765622d31" },
	{ { .type = TUNNEL_OPENED, .channel = 1, .opened = { 5, 6, 1 } },
	  "03000001000000110000000000000005000000000000000601" },
	{ { .type = TUNNEL_REFUSED, .channel = 1, .reason = "vm-gone" },
	  "040000010000000807766d2d676f6e65" },
	{ { .type = TUNNEL_DATA, .channel = 1, .data = { 9, (const uint8_t *)"abc", 3 } },
	  "050000010000000b0000000000000009616263" },
	{ { .type = TUNNEL_GAP, .channel = 1, .gap = { 1, 2 } },
	  "060000010000001000000000000000010000000000000002" },
	{ { .type = TUNNEL_CREDIT, .channel = 1, .value = 3 }, "07000001000000080000000000000003" },
	{ { .type = TUNNEL_EOF, .channel = 1, .value = 4 }, "08000001000000080000000000000004" },
	{ { .type = TUNNEL_CLOSE, .channel = 1, .reason = "" }, "090000010000000100" },
	{ { .type = TUNNEL_CTL, .channel = 1, .ctl = { .op = TUNNEL_CTL_BREAK } },
	  "0a0000010000000101" },
	{ { .type = TUNNEL_CTL,
	    .channel = 1,
	    .ctl = { .op = TUNNEL_CTL_WINSIZE, .rows = 25, .columns = 80 } },
	  "0a000001000000050200190050" },
	{ { .type = TUNNEL_CTL, .channel = 1, .ctl = { .op = TUNNEL_CTL_WRITER, .on = true } },
	  "0a000001000000020301" },
	{ { .type = TUNNEL_CTL, .channel = 1, .ctl = { .op = TUNNEL_CTL_TAKE } },
	  "0a0000010000000104" },
	{ { .type = TUNNEL_CTL, .channel = 1, .ctl = { .op = TUNNEL_CTL_SOURCE } },
	  "0a000001000000020500" },
	{ { .type = TUNNEL_CTL, .channel = 1, .ctl = { .op = TUNNEL_CTL_BROKE, .on = true } },
	  "0a000001000000020601" },
	{ { .type = TUNNEL_CTL,
	    .channel = 1,
	    .ctl = { .op = TUNNEL_CTL_INPUT, .id = 258, .at = 3 } },
	  "0a000001000000110700000000000001020000000000000003" },
	{ { .type = TUNNEL_CTL, .channel = 1, .ctl = { .op = TUNNEL_CTL_PACE, .rate = 11520 } },
	  "0a000001000000050800002d00" },
	{ { .type = TUNNEL_SCREEN, .channel = 1, .screen = { false, (const uint8_t *)"abc", 3 } },
	  "0d0000010000000400616263" },
	{ { .type = TUNNEL_SCREEN, .channel = 1, .screen = { true, (const uint8_t *)"d", 1 } },
	  "0d000001000000020164" },
	{ { .type = TUNNEL_PING, .value = 1 }, "0b000000000000080000000000000001" },
	{ { .type = TUNNEL_PONG, .value = 1 }, "0c000000000000080000000000000001" },
};

/* Decodes from memory that ends where the bytes end. */
static int decode_hex(const char *hex, struct tunnel_frame *f, size_t *used)
{
	size_t len = strlen(hex) / 2;
	uint8_t *bytes = malloc(len);
	int r;

	assert_non_null(bytes);
	assert_int_equal(hex_decode(hex, bytes, len), 0);
	r = tunnel_decode(bytes, len, f, used);
	free(bytes);
	return r;
}

static void bytes_are_as_specified(void **state)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		char hex[256];

		assert_int_equal(tunnel_encode(&b, &known[i].frame), 0);
		hex_encode(buf_data(&b), buf_len(&b), hex);
		assert_string_equal(hex, known[i].hex);
		assert_int_equal(tunnel_frame_size(buf_data(&b)), buf_len(&b));
		buf_clear(&b);
	}
	buf_fini(&b);
}

static void decoding_gives_back_what_was_encoded(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		struct tunnel_frame f;
		size_t len = strlen(known[i].hex) / 2, used = 0;
		uint8_t bytes[256];
		struct buf b;

		assert_int_equal(hex_decode(known[i].hex, bytes, len), 0);
		for (size_t cut = 0; cut < len; cut++) {
			assert_int_equal(tunnel_decode(bytes, cut, &f, &used), 0);
		}
		assert_int_equal(tunnel_decode(bytes, len, &f, &used), 1);
		assert_int_equal(used, len);
		buf_init(&b, 1 << 20);
		assert_int_equal(tunnel_encode(&b, &f), 0);
		assert_int_equal(buf_len(&b), len);
		assert_memory_equal(buf_data(&b), bytes, len);
		buf_fini(&b);
	}
}

static void refuses_what_is_forbidden(void **state)
{
	static const char *const frames[] = {
		"00", /* unknown types, seen from the first byte on */
		"0e",
		"ff",
		"0d0000010000000101", /* SCREEN: nothing in it, booleans */
		"0d000001000000020261",
		"0d000000000000020161", /* on no channel */
		"0b01000000000008",	/* flags */
		"0b00000000010001",	/* length 65537 */
		"0500000100010001",
		"0b000001000000080000000000000001",   /* PING on a channel */
		"0500000000000009000000000000000061", /* DATA without */
		"0b0000000000000700000000000001",     /* payload too short, too long */
		"0b00000000000009000000000000000001",
		"05000001000000080000000000000000",
		"060000010000000f000000000000000100000000000000",
		"0900000100000000", /* no count; counts that lie */
		"090000010000000101",
		"09000001000000020061",
		"09000001000000020141", /* capital letter, blank, NUL */
		"09000001000000020120",
		"09000001000000020100",
		"0a00000100000000", /* CTL: no op, sizes, booleans */
		"0a000001000000020100",
		"0a0000010000000402001900",
		"0a0000010000000103",
		"0a000001000000020302",
		"0a0000010000000106",
		"0a000001000000020602",
		"0a0000010000001007000000000000010200000000000000",
		"0a0000010000000408000001",
		"03000001000000110000000000000005000000000000000608", /* modes */
		"020000010000001300000000000000000000000000000000000161",
		"020000010000001300000000000000000000000000000000040161",
		"020000010000001300000000000000000000000000000000060161",
		"020000010000001300000000000000000000000000000000030141", /* service
									   */
		"020000010000001300000000000000000000000000000000030100",
		"0200000100000012000000000000000000000000000000000301",
		"010000000000001c44564d54554e0d0b0001000201020304050607080000000000"
		"000000", /* HELLO:
			     magic,
			     version,
			     role
			   */
		"010000000000001c44564d54554e0d0a0002000201020304050607080000000000"
		"000000",
		"010000000000001c44564d54554e0d0a0001000301020304050607080000000000"
		"000000",
	};
	struct tunnel_frame f;
	size_t used;

	for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
		if (decode_hex(frames[i], &f, &used) != -EPROTO) {
			fail_msg("taken: %s", frames[i]);
		}
	}
}

static void unknown_ctl_is_a_frame_like_others(void **state)
{
	struct tunnel_frame f;
	size_t used;

	assert_int_equal(decode_hex("0a00000100000003c80102", &f, &used), 1);
	assert_int_equal(f.ctl.op, 200);
	assert_int_equal(used, 11);
}

static void does_not_encode_what_no_decoder_takes(void **state)
{
	static uint8_t bytes[TUNNEL_DATA_MAX + 1];
	const struct tunnel_frame frames[] = {
		{ .type = 0 },
		{ .type = _TUNNEL_TYPE_MAX, .channel = 1 },
		{ .type = TUNNEL_PING, .channel = 1 },
		{ .type = TUNNEL_CREDIT },
		{ .type = TUNNEL_HELLO, .hello = { 2, 1, 1, 1 } },
		{ .type = TUNNEL_HELLO, .hello = { 1, 0, 1, 1 } },
		{ .type = TUNNEL_OPEN, .channel = 1, .open = { 0, 0, 0, "a" } },
		{ .type = TUNNEL_OPEN, .channel = 1, .open = { 0, 0, 3, "A" } },
		{ .type = TUNNEL_OPENED, .channel = 1, .opened = { 0, 0, 8 } },
		{ .type = TUNNEL_CLOSE, .channel = 1, .reason = "not a code" },
		{ .type = TUNNEL_DATA, .channel = 1, .data = { 0, bytes, 0 } },
		{ .type = TUNNEL_DATA, .channel = 1, .data = { 0, bytes, sizeof(bytes) } },
		{ .type = TUNNEL_SCREEN, .channel = 1, .screen = { true, bytes, 0 } },
		{ .type = TUNNEL_SCREEN, .screen = { true, bytes, 1 } },
		{ .type = TUNNEL_CTL, .channel = 1, .ctl = { .op = 0 } },
		{ .type = TUNNEL_CTL, .channel = 1, .ctl = { .op = _TUNNEL_CTL_MAX } },
	};
	struct buf b;

	buf_init(&b, 1 << 20);
	for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
		assert_int_equal(tunnel_encode(&b, &frames[i]), -EINVAL);
	}
	assert_int_equal(buf_len(&b), 0);
	buf_fini(&b);
	buf_init(&b, 15);
	assert_int_equal(tunnel_encode(&b, &(struct tunnel_frame){ .type = TUNNEL_PING }),
			 -ENOBUFS);
	assert_int_equal(buf_len(&b), 0);
	buf_fini(&b);
}

static void largest_data_fits(void **state)
{
	static uint8_t bytes[TUNNEL_DATA_MAX];
	struct tunnel_frame f = { .type = TUNNEL_DATA,
				  .channel = 1,
				  .data = { 0, bytes, sizeof(bytes) } };
	struct buf b;
	size_t used;

	buf_init(&b, TUNNEL_HEADER_BYTES + TUNNEL_PAYLOAD_MAX);
	assert_int_equal(tunnel_encode(&b, &f), 0);
	assert_int_equal(tunnel_decode(buf_data(&b), buf_len(&b), &f, &used), 1);
	assert_int_equal(f.data.len, sizeof(bytes));
	buf_fini(&b);
}

static void skips_to_hello(void **state)
{
	uint8_t bytes[64] = { 0 };
	size_t hello = strlen(known[0].hex) / 2;

	assert_int_equal(tunnel_skip_to_hello(bytes, 0), 0);
	assert_int_equal(tunnel_skip_to_hello(bytes, 64), 64);
	memset(bytes, 1, 20); /* each could be the first byte, the next shows that it is not */
	assert_int_equal(hex_decode(known[0].hex, bytes + 20, hello), 0);
	for (size_t len = 20; len < 20 + hello; len++) {
		assert_int_equal(tunnel_skip_to_hello(bytes, len + 1), 20);
	}
	assert_int_equal(tunnel_skip_to_hello(bytes, 20), 19);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_as_specified),
		cmocka_unit_test(decoding_gives_back_what_was_encoded),
		cmocka_unit_test(refuses_what_is_forbidden),
		cmocka_unit_test(unknown_ctl_is_a_frame_like_others),
		cmocka_unit_test(does_not_encode_what_no_decoder_takes),
		cmocka_unit_test(largest_data_fits),
		cmocka_unit_test(skips_to_hello),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
