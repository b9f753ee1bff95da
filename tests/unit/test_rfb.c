/* SPDX-License-Identifier: Apache-2.0 */
/* The filter between a viewer and a display. */
#include "rfb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

#define NAME "QEMU (hypervisor-7-guest)"

/* What a display of 640 × 400 says, step by step. */
static const char security[] = { 2, 16, 1 }, result[4] = { 0 };
static const char init[] = "\x02\x80\x01\x90\x20\x18\x00\x01\x00\xff\x00\xff\x00\xff\x10\x08\x00"
			   "\x00\x00\x00\x00\x00\x00\x19" NAME;
#define INIT_LEN (24 + sizeof(NAME) - 1)

struct fixture {
	struct rfb *f;
	struct buf to_display, to_viewer;
};

static void begin(struct fixture *x, bool view_only)
{
	buf_init(&x->to_display, 1024 * 1024);
	buf_init(&x->to_viewer, 1024 * 1024);
	assert_int_equal(rfb_new("v-1", view_only, &x->f), 0);
	assert_int_equal(rfb_start(x->f, &x->to_viewer), 0);
}

static void end(struct fixture *x)
{
	rfb_free(x->f);
	buf_fini(&x->to_display);
	buf_fini(&x->to_viewer);
}

static int viewer(struct fixture *x, const void *p, size_t len)
{
	return rfb_from_viewer(x->f, p, len, &x->to_display, &x->to_viewer);
}

static int display(struct fixture *x, const void *p, size_t len)
{
	return rfb_from_display(x->f, p, len, &x->to_display, &x->to_viewer);
}

static void expect(struct buf *b, const void *p, size_t len)
{
	assert_int_equal(buf_len(b), len);
	if (len > 0) {
		assert_memory_equal(buf_data(b), p, len);
	}
	buf_clear(b);
}

static void display_greets(struct fixture *x)
{
	assert_int_equal(display(x, "RFB 003.008\n", 12), 0);
	expect(&x->to_display, "RFB 003.008\n", 12);
	assert_int_equal(display(x, security, sizeof(security)), 0);
	expect(&x->to_display, "\x01", 1);
	assert_int_equal(display(x, result, sizeof(result)), 0);
	expect(&x->to_display, "\x01", 1); /* shared */
	assert_int_equal(display(x, init, INIT_LEN), 0);
}

static void expect_init(struct fixture *x)
{
	assert_int_equal(buf_len(&x->to_viewer), 24 + 3);
	assert_memory_equal(buf_data(&x->to_viewer), init, 20);
	assert_memory_equal(buf_data(&x->to_viewer) + 20, "\0\0\0\3v-1", 7);
	buf_clear(&x->to_viewer);
}

static void begin_speaking(struct fixture *x, bool view_only)
{
	begin(x, view_only);
	display_greets(x);
	assert_int_equal(viewer(x, "RFB 003.008\n\x01\x00", 14), 0);
	buf_clear(&x->to_viewer);
}

static void versions(void **state)
{
	static const struct {
		const char *version, *choice;
		size_t choice_len;
		const char *answer;
		size_t answer_len;
	} cases[] = {
		{ "RFB 003.003\n", "", 0, "\0\0\0\1", 4 },
		{ "RFB 003.005\n", "", 0, "\0\0\0\1", 4 },
		{ "RFB 003.007\n", "\1", 1, "\1\1", 2 },
		{ "RFB 003.008\n", "\1", 1, "\1\1\0\0\0\0", 6 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (int display_first = 0; display_first < 2; display_first++) {
			struct fixture x;

			begin(&x, false);
			expect(&x.to_viewer, "RFB 003.008\n", 12);
			if (display_first) {
				display_greets(&x);
				assert_int_equal(buf_len(&x.to_viewer), 0);
			}
			assert_int_equal(viewer(&x, cases[i].version, 12), 0);
			assert_int_equal(viewer(&x, cases[i].choice, cases[i].choice_len), 0);
			expect(&x.to_viewer, cases[i].answer, cases[i].answer_len);
			assert_int_equal(viewer(&x, "\0", 1), 0); /* not shared: not its choice */
			if (!display_first) {
				assert_int_equal(buf_len(&x.to_viewer), 0);
				display_greets(&x);
			}
			expect_init(&x);
			assert_int_equal(buf_len(&x.to_display), 0);
			end(&x);
		}
	}
}

static void refuses_handshakes(void **state)
{
	static const char *const versions[] = { "RFB 004.001\n", "RFB 003.889\n", "RFB 003.00x\n",
						"RFB 003.008 ",	 "GET / HTTP/1",  "RFB 003.000\n" };
	struct fixture x;

	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		begin(&x, false);
		assert_int_equal(viewer(&x, versions[i], 12), -EPROTO);
		end(&x);
		begin(&x, false);
		assert_int_equal(display(&x, versions[i], 12), -EPROTO);
		end(&x);
	}
	begin(&x, false); /* a password that nobody asked for */
	assert_int_equal(viewer(&x, "RFB 003.008\n\x02", 13), -EPROTO);
	end(&x);
	begin(&x, false); /* says more than its turn is */
	assert_int_equal(viewer(&x, "RFB 003.008\n\x01\x01\x03", 15), -EPROTO);
	end(&x);
	begin(&x, false); /* wants a password */
	assert_int_equal(display(&x, "RFB 003.008\n\x01\x02", 14), -EPROTO);
	end(&x);
	begin(&x, false); /* refuses, with a reason that is not for the viewer */
	assert_int_equal(display(&x, "RFB 003.008\n\x00\x00\x00\x00\x04host", 21), -EPROTO);
	end(&x);
	begin(&x, false);
	assert_int_equal(display(&x, "RFB 003.008\n\x01\x01\x00\x00\x00\x01", 18), -EPROTO);
	end(&x);
	begin(&x, false); /* a name without end */
	assert_int_equal(display(&x, "RFB 003.008\n\x01\x01\x00\x00\x00\x00", 18), 0);
	assert_int_equal(display(&x, "12345678901234567890\xff\xff\xff\xff", 24), -EPROTO);
	end(&x);
	begin(&x, false); /* speaks before anybody asked */
	assert_int_equal(display(&x, "RFB 003.008\n\x01\x01\x00\x00\x00\x00", 18), 0);
	assert_int_equal(display(&x, "12345678901234567890\0\0\0\0\x02", 25), -EPROTO);
	end(&x);
}

static const struct message {
	const char *bytes;
	size_t len;
	bool input; /* left out where one may only watch */
} messages[] = {
	{ "\0\0\0\0\x20\x18\0\1\0\xff\0\xff\0\xff\x10\x08\0\0\0\0", 20, false },
	{ "\2\0\0\2\0\0\0\5\xff\xff\xff\x11", 12, false },
	{ "\2\0\0\0", 4, false },
	{ "\3\1\0\0\0\0\2\x80\1\x90", 10, false },
	{ "\4\1\0\0\0\0\0a", 8, true },
	{ "\5\1\0\x10\0\x10", 6, true },
	{ "\6\0\0\0\0\0\0\5hello", 13, true },
	{ "\6\0\0\0\0\0\0\0", 8, true },
	{ "\xff\0\0\1\0\0\0a\0\0\0\x1e", 12, true },
	{ "\xff\1\0\0", 4, false },
	{ "\xff\1\0\1", 4, false },
	{ "\xff\1\0\2\3\2\0\0\xac\x44", 10, false },
};

static void passes_messages(void **state)
{
	for (int view_only = 0; view_only < 2; view_only++) {
		for (int piece = 1; piece < 3; piece++) {
			struct fixture x;

			begin_speaking(&x, view_only);
			for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
				const struct message *m = &messages[i];

				for (size_t at = 0; at < m->len; at += (size_t)piece) {
					assert_int_equal(viewer(&x, m->bytes + at,
								MIN((size_t)piece, m->len - at)),
							 0);
				}
				expect(&x.to_display, m->bytes, view_only && m->input ? 0 : m->len);
			}
			assert_int_equal(buf_len(&x.to_viewer), 0);
			end(&x);
		}
	}
}

static void passes_all_at_once(void **state)
{
	struct buf all, wanted;
	struct fixture x;

	buf_init(&all, 4096);
	buf_init(&wanted, 4096);
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		const struct message *m = &messages[i];

		assert_int_equal(buf_append(&all, m->bytes, m->len), 0);
		assert_int_equal(m->input ? 0 : buf_append(&wanted, m->bytes, m->len), 0);
	}
	begin_speaking(&x, true);
	assert_int_equal(viewer(&x, buf_data(&all), buf_len(&all)), 0);
	expect(&x.to_display, buf_data(&wanted), buf_len(&wanted));
	end(&x);
	buf_fini(&all);
	buf_fini(&wanted);
}

static void refuses_messages(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} refused[] = {
		{ "\1", 1 }, /* FixColourMapEntries */
		{ "\7", 1 },
		{ "\x96", 1 }, /* EnableContinuousUpdates */
		{ "\xf8", 1 }, /* Fence */
		{ "\xfa", 1 }, /* xvp: power */
		{ "\xfb", 1 }, /* SetDesktopSize */
		{ "\xff\2", 2 },
		{ "\xff\1\0\3", 4 },
		{ "\2\0\1\1", 4 },		   /* too many encodings */
		{ "\6\0\0\0\0\4\0\1", 8 },	   /* too much text */
		{ "\6\0\0\0\xff\xff\xff\xf8", 8 }, /* extended clipboard */
		{ "\0\0\0\0\x18\x18\0\1\0\xff\0\xff\0\xff\x10\x08\0\0\0\0", 20 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct fixture x;

		begin_speaking(&x, false);
		assert_int_equal(viewer(&x, refused[i].bytes, refused[i].len), -EPROTO);
		assert_int_equal(buf_len(&x.to_display), 0);
		end(&x);
	}
}

static void leaves_out_encodings(void **state)
{
	/* Tight, DesktopName, ExtendedDesktopSize, xvp, fence, ZRLE, extended clipboard, keys */
	static const char asked[] =
		"\2\0\0\x08\0\0\0\7\xff\xff\xfe\xcd\xff\xff\xfe\xcc\xff\xff\xfe\xcb"
		"\xff\xff\xfe\xc8\0\0\0\x10\xc0\xa1\xe5\xce\xff\xff\xfe\xfe";
	static const char passed[] = "\2\0\0\3\0\0\0\7\0\0\0\x10\xff\xff\xfe\xfe";
	struct fixture x;
	uint8_t many[4 + 4 * RFB_ENCODINGS_MAX] = { 2, 0, RFB_ENCODINGS_MAX >> 8,
						    RFB_ENCODINGS_MAX & 0xff };

	begin_speaking(&x, true);
	assert_int_equal(viewer(&x, asked, sizeof(asked) - 1), 0);
	expect(&x.to_display, passed, sizeof(passed) - 1);
	assert_int_equal(viewer(&x, many, sizeof(many)), 0); /* all Raw */
	expect(&x.to_display, many, sizeof(many));
	end(&x);
}

static void display_passes_as_it_is(void **state)
{
	uint8_t bytes[1000];
	struct fixture x;

	begin_speaking(&x, true);
	for (size_t i = 0; i < sizeof(bytes); i++) {
		bytes[i] = (uint8_t)(i * 7);
	}
	assert_int_equal(display(&x, bytes, sizeof(bytes)), 0);
	expect(&x.to_viewer, bytes, sizeof(bytes));
	assert_int_equal(buf_len(&x.to_display), 0);
	end(&x);
}

/* In any pieces, and with the first picture behind the name. */
static void handshake_in_pieces(void **state)
{
	struct fixture x;
	struct buf all;

	buf_init(&all, 4096);
	assert_int_equal(buf_append(&all, "RFB 003.008\n", 12), 0);
	assert_int_equal(buf_append(&all, security, sizeof(security)), 0);
	assert_int_equal(buf_append(&all, result, sizeof(result)), 0);
	assert_int_equal(buf_append(&all, init, INIT_LEN), 0);
	for (size_t piece = 1; piece < 20; piece++) {
		begin(&x, false);
		assert_int_equal(viewer(&x, "RFB 003.008\n\1\1", 14), 0);
		buf_clear(&x.to_viewer);
		for (size_t at = 0; at < buf_len(&all); at += piece) {
			assert_int_equal(
				display(&x, buf_data(&all) + at, MIN(piece, buf_len(&all) - at)),
				0);
		}
		expect(&x.to_display, "RFB 003.008\n\1\1", 14);
		expect_init(&x);
		end(&x);
	}
	assert_int_equal(buf_append(&all, "\2", 1), 0); /* a bell */
	begin(&x, false);
	assert_int_equal(viewer(&x, "RFB 003.008\n\1\1", 14), 0);
	buf_clear(&x.to_viewer);
	assert_int_equal(display(&x, buf_data(&all), buf_len(&all)), 0);
	assert_int_equal(buf_len(&x.to_viewer), 24 + 3 + 1);
	end(&x);
	buf_fini(&all);
}

static void long_names_are_cut(void **state)
{
	char name[RFB_NAME_MAX + 50];
	struct fixture x;

	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	begin(&x, false);
	rfb_free(x.f);
	assert_int_equal(rfb_new(name, false, &x.f), 0);
	display_greets(&x);
	assert_int_equal(viewer(&x, "RFB 003.003\n\1", 13), 0);
	assert_int_equal(buf_len(&x.to_viewer), 12 + 4 + 24 + RFB_NAME_MAX);
	end(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(versions),
		cmocka_unit_test(refuses_handshakes),
		cmocka_unit_test(passes_messages),
		cmocka_unit_test(passes_all_at_once),
		cmocka_unit_test(refuses_messages),
		cmocka_unit_test(leaves_out_encodings),
		cmocka_unit_test(display_passes_as_it_is),
		cmocka_unit_test(handshake_in_pieces),
		cmocka_unit_test(long_names_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
