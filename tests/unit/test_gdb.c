/* SPDX-License-Identifier: Apache-2.0 */
/* gdb's remote protocol: packets, and what may be asked. */
#include "gdb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

/* One event out of a text, byte by byte, as it may come. */
static enum gdb_event read_all(struct gdb_reader *r, const char *p, size_t len)
{
	enum gdb_event event = GDB_MORE;
	size_t used;

	for (size_t i = 0; i < len; i++) {
		assert_int_equal(event, GDB_MORE);
		assert_int_equal(gdb_reader_input(r, (const uint8_t *)p + i, 1, &used, &event), 0);
		assert_int_equal(used, 1);
	}
	return event;
}

static void expect_body(struct gdb_reader *r, const char *text, const void *body, size_t len)
{
	const char *got;
	size_t got_len;

	assert_int_equal(read_all(r, text, strlen(text)), GDB_PACKET);
	got = gdb_reader_body(r, &got_len);
	assert_int_equal(got_len, len);
	assert_memory_equal(got, body, len);
	assert_int_equal(got[len], '\0');
}

static void packets(void **state)
{
	struct gdb_reader r;

	gdb_reader_init(&r, false);
	expect_body(&r, "$#00", "", 0);
	expect_body(&r, "$g#67", "g", 1);
	expect_body(&r, "$m0,4#Fd", "m0,4", 4);
	expect_body(&r, "$X}\x03}\x04}]#33", "X#$}", 4);
	/* Between packets: whatever is none of them is nothing. */
	assert_int_equal(read_all(&r, "+", 1), GDB_ACK);
	assert_int_equal(read_all(&r, "-", 1), GDB_NAK);
	assert_int_equal(read_all(&r, "\x03", 1), GDB_INTERRUPT);
	assert_int_equal(read_all(&r, "xyz#", 4), GDB_MORE);
	/* One begun anew. */
	expect_body(&r, "$m0,$g#67", "g", 1);
	assert_int_equal(read_all(&r, "$g#68", 5), GDB_CORRUPT);
	assert_int_equal(read_all(&r, "$g#x", 4), GDB_CORRUPT);
	assert_int_equal(read_all(&r, "$g#6x", 5), GDB_CORRUPT);
	assert_int_equal(read_all(&r, "$g}#e4", 6), GDB_CORRUPT);
	/* A request has no run lengths. */
	expect_body(&r, "$a*!#ac", "a*!", 3);
	gdb_reader_fini(&r);
}

static void run_lengths(void **state)
{
	struct gdb_reader r;

	gdb_reader_init(&r, true);
	expect_body(&r, "$0* #7a", "0000", 4);
	expect_body(&r, "$T05a*\"b#c8", "T05aaaaaab", 10);
	/* An interrupt is nothing that a stub says. */
	assert_int_equal(read_all(&r, "\x03", 1), GDB_MORE);
	/* Nothing to repeat; the sum is right. */
	expect_body(&r, "$*#a#ae", "a", 1);
	gdb_reader_fini(&r);
}

static void bounds(void **state)
{
	static uint8_t text[GDB_PACKET_MAX + 8];
	struct gdb_reader r;
	enum gdb_event event;
	size_t used;

	memset(text, 'a', sizeof(text));
	text[0] = '$';
	gdb_reader_init(&r, false);
	assert_int_equal(gdb_reader_input(&r, text, 1 + GDB_PACKET_MAX, &used, &event), 0);
	assert_int_equal(event, GDB_MORE);
	assert_int_equal(gdb_reader_input(&r, text + 1, 1, &used, &event), -EMSGSIZE);
	gdb_reader_fini(&r);
	/* Also by repeating. */
	gdb_reader_init(&r, true);
	text[0] = '$';
	for (size_t i = 2; i + 1 < 1000; i += 2) {
		text[i] = '*';
		text[i + 1] = '~';
	}
	assert_int_equal(gdb_reader_input(&r, text, 1000, &used, &event), -EMSGSIZE);
	gdb_reader_fini(&r);
}

static void encoded(void **state)
{
	struct gdb_reader r;
	struct buf out;
	enum gdb_event event;
	uint8_t body[512];
	const char *got;
	size_t used, len;

	for (size_t i = 0; i < sizeof(body); i++) {
		body[i] = (uint8_t)i;
	}
	gdb_reader_init(&r, true);
	buf_init(&out, GDB_ENCODED_MAX(sizeof(body)));
	assert_int_equal(gdb_encode(&out, body, sizeof(body)), 0);
	assert_int_equal(gdb_reader_input(&r, buf_data(&out), buf_len(&out), &used, &event), 0);
	assert_int_equal(event, GDB_PACKET);
	got = gdb_reader_body(&r, &len);
	assert_int_equal(len, sizeof(body));
	assert_memory_equal(got, body, len);
	/* No room: nothing is put in. */
	used = buf_len(&out);
	assert_int_equal(gdb_encode(&out, body, sizeof(body)), -ENOBUFS);
	assert_int_equal(buf_len(&out), used);
	buf_fini(&out);
	gdb_reader_fini(&r);
}

static const struct {
	const char *body;
	enum gdb_command command;
	enum gdb_access access;
	uint64_t args[GDB_ARGS_MAX];
	int thread;
	const char *bytes;
} good[] = {
	{ "?", GDB_WHY, GDB_READS },
	{ "qSupported", GDB_SUPPORTED, GDB_READS },
	{ "qSupported:multiprocess+;swbreak+", GDB_SUPPORTED, GDB_READS },
	{ "QStartNoAckMode", GDB_NO_ACK, GDB_READS },
	{ "qAttached:1", GDB_ATTACHED, GDB_READS },
	{ "Hg0", GDB_THREAD, GDB_READS },
	{ "Hg1f", GDB_THREAD, GDB_READS, .thread = 0x1f },
	{ "Hc-1", GDB_THREAD_RUN, GDB_READS, .thread = GDB_THREAD_ALL },
	{ "qC", GDB_THREAD_CURRENT, GDB_READS },
	{ "qfThreadInfo", GDB_THREADS_FIRST, GDB_READS },
	{ "qsThreadInfo", GDB_THREADS_NEXT, GDB_READS },
	{ "qThreadExtraInfo,2", GDB_THREAD_EXTRA, GDB_READS, .thread = 2 },
	{ "T1", GDB_THREAD_ALIVE, GDB_READS, .thread = 1 },
	{ "qXfer:features:read:target.xml:0,ffb", GDB_FEATURES, GDB_READS, { 0, 0xffb } },
	{ "g", GDB_REGISTERS, GDB_READS },
	{ "G00ff", GDB_REGISTERS_SET, GDB_CONTROLS, .bytes = "00ff" },
	{ "p10", GDB_REGISTER, GDB_READS, { 0x10 } },
	{ "P10=0102", GDB_REGISTER_SET, GDB_CONTROLS, { 0x10 }, .bytes = "0102" },
	{ "mffffffff81000000,40", GDB_MEMORY, GDB_READS, { 0xffffffff81000000, 0x40 } },
	{ "M10,2:abCD", GDB_MEMORY_SET, GDB_CONTROLS, { 0x10, 2 }, .bytes = "abCD" },
	{ "qqemu.PhyMemMode", GDB_PHYSICAL, GDB_READS },
	{ "Qqemu.PhyMemMode:1", GDB_PHYSICAL_SET, GDB_READS, { 1 } },
	{ "qqemu.sstepbits", GDB_STEP_BITS, GDB_READS },
	{ "qqemu.sstep", GDB_STEP_FLAGS, GDB_READS },
	{ "Qqemu.sstep=7", GDB_STEP_FLAGS_SET, GDB_CONTROLS, { 7 } },
	{ "Z1,fff0,1", GDB_BREAK, GDB_CONTROLS, { 1, 0xfff0, 1 } },
	{ "z2,fff0,4", GDB_UNBREAK, GDB_CONTROLS, { 2, 0xfff0, 4 } },
	{ "vCont?", GDB_RESUME_HOW, GDB_READS },
	{ "vCont;c", GDB_RESUME, GDB_CONTROLS },
	{ "vCont;s:1;c", GDB_RESUME, GDB_CONTROLS },
	{ "vCont;C05:2;S0f:-1;c", GDB_RESUME, GDB_CONTROLS },
	{ "c", GDB_CONTINUE, GDB_CONTROLS },
	{ "s", GDB_STEP, GDB_CONTROLS },
	{ "D", GDB_DETACH, GDB_READS },
	{ "D;1", GDB_DETACH, GDB_READS },
	{ "k", GDB_KILL, GDB_READS },
};

/* What gets nowhere: what a stub would do harm with, what it does not know, what is malformed. */
static const char *const unknown[] = {
	"",
	"qRcmd,696e666f",
	"qRcmd",
	"vKill;1",
	"vKill",
	"R00",
	"r",
	"vRun;",
	"vAttach;1",
	"vFile:open:2f,0,0",
	"vMustReplyEmpty",
	"vCtrlC",
	"!",
	"F0",
	"bc",
	"bs",
	"t",
	"i",
	"X10,1:a",
	"x10,1",
	"qCRC:0,4",
	"qSearch:memory:0;4;61",
	"qTStatus",
	"QPassSignals:",
	"qOffsets",
	"qSymbol::",
	"qXfer:memory-map:read::0,ff",
	"qXfer:features:write:target.xml:0:a",
	"qXfer:features:read:../etc/passwd:0,ff",
	"qXfer:features:read::0,ff",
	"??",
	"g0",
	"G0",
	"Gxx",
	"p",
	"pp",
	"p-1",
	"P10",
	"P10=0",
	"m",
	"m1",
	"m1,",
	"m1,2,3",
	"m 1,2",
	"m1,11111111111111111",
	"M1,1:",
	"M1,1:0",
	"M1,1",
	"Hx1",
	"H",
	"Hg",
	"Hgp1.1",
	"Hg10000",
	"Z0,10",
	"Z0,10,1;X1,22",
	"Z0,10,1;cmds:0",
	"z",
	"vCont",
	"vCont;",
	"vCont;x",
	"vCont;c:",
	"vCont;t:1",
	"vCont;r1,2:1",
	"vCont;C:1",
	"vCont;c;",
	"c1000",
	"s1000",
	"C05",
	"kk",
};

static void requests(void **state)
{
	struct gdb_request q;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		gdb_request_parse(good[i].body, strlen(good[i].body), &q);
		if (q.command != good[i].command) {
			fail_msg("%s", good[i].body);
		}
		assert_int_equal(q.access, good[i].access);
		assert_memory_equal(q.args, good[i].args, sizeof(q.args));
		assert_int_equal(q.thread, good[i].thread);
		if (good[i].bytes) {
			assert_int_equal(q.bytes_len, strlen(good[i].bytes));
			assert_memory_equal(q.bytes, good[i].bytes, q.bytes_len);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		gdb_request_parse(unknown[i], strlen(unknown[i]), &q);
		if (strcmp(unknown[i], "M1,1:") == 0) {
			/* No bytes are bytes in pairs; how many there are to be is looked at later.
			 */
			assert_int_equal(q.command, GDB_MEMORY_SET);
			assert_int_equal(q.bytes_len, 0);
		} else if (q.command != GDB_UNKNOWN) {
			fail_msg("%s is known", unknown[i]);
		}
	}
	/* A NUL is no end. */
	gdb_request_parse("g\0x", 3, &q);
	assert_int_equal(q.command, GDB_UNKNOWN);
}

static void replies(void **state)
{
	assert_true(gdb_reply_is_stop("T05thread:01;", 13));
	assert_true(gdb_reply_is_stop("S05", 3));
	assert_false(gdb_reply_is_stop("T0", 2));
	assert_false(gdb_reply_is_stop("OK", 2));
	assert_true(gdb_reply_is_exit("W00", 3));
	assert_true(gdb_reply_is_exit("X0f", 3));
	assert_false(gdb_reply_is_exit("", 0));
	assert_true(gdb_reply_is_error("E22", 3));
	assert_false(gdb_reply_is_error("E222", 4));
	assert_false(gdb_reply_is_error("", 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets), cmocka_unit_test(run_lengths), cmocka_unit_test(bounds),
		cmocka_unit_test(encoded), cmocka_unit_test(requests),	  cmocka_unit_test(replies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
