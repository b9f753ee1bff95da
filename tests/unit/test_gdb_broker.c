/* SPDX-License-Identifier: Apache-2.0 */
/* Several gdbs on one stub: a stub is played here. */
#include "gdb_broker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

#define STOP "T05thread:02;"
#define GREETING "qSupported:xmlRegisters=i386|qXfer:features:read:target.xml:0,1|?|"

struct fixture {
	struct gdb_broker *b;
	struct gdb_reader stub; /* reads what the stub gets */
	char got[65536];	/* its packets, each with | behind it; an interrupt is ^C */
};

/* What the stub has got since the last time. */
static const char *stub_got(struct fixture *x)
{
	struct buf *b = gdb_broker_to_stub(x->b);

	x->got[0] = '\0';
	while (buf_len(b) > 0) {
		size_t used, len, at = strlen(x->got);
		enum gdb_event event;

		assert_int_equal(gdb_reader_input(&x->stub, buf_data(b), buf_len(b), &used, &event),
				 0);
		buf_consume(b, used);
		assert_true(event != GDB_CORRUPT && event != GDB_NAK);
		if (event == GDB_PACKET) {
			snprintf(x->got + at, sizeof(x->got) - at, "%s|",
				 gdb_reader_body(&x->stub, &len));
		} else if (event == GDB_INTERRUPT) {
			strcpy(x->got + at, "^C");
		}
	}
	return x->got;
}

#define expect_stub(x, text) assert_string_equal(stub_got(x), text)

static void stub_says(struct fixture *x, const char *body)
{
	struct buf out;

	buf_init(&out, GDB_ENCODED_MAX(GDB_PACKET_MAX));
	assert_int_equal(gdb_encode(&out, body, strlen(body)), 0);
	assert_int_equal(gdb_broker_from_stub(x->b, buf_data(&out), buf_len(&out)), 0);
	buf_fini(&out);
}

static void begin(struct fixture *x, bool was_running)
{
	gdb_reader_init(&x->stub, false);
	assert_int_equal(gdb_broker_new(was_running, &x->b), 0);
	expect_stub(x, GREETING);
}

static void greet(struct fixture *x)
{
	stub_says(x, "PacketSize=400;qXfer:features:read+");
	stub_says(x, "l<");
	stub_says(x, STOP);
}

static void end(struct fixture *x)
{
	gdb_broker_free(x->b);
	gdb_reader_fini(&x->stub);
}

static struct gdb_client *come(struct fixture *x, bool controls)
{
	struct gdb_client *c;

	assert_int_equal(gdb_client_new(x->b, controls, false, &c), FAULT_NONE);
	return c;
}

static void client_put(struct gdb_client *c, const char *body)
{
	struct buf out;

	buf_init(&out, GDB_ENCODED_MAX(GDB_PACKET_MAX));
	assert_int_equal(gdb_encode(&out, body, strlen(body)), 0);
	assert_int_equal(gdb_client_input(c, buf_data(&out), buf_len(&out)), 0);
	buf_fini(&out);
}

static void expect_raw(struct gdb_client *c, const char *text)
{
	struct buf *b = gdb_client_output(c);

	assert_int_equal(buf_append(b, "", 1), 0);
	assert_string_equal((char *)buf_data(b), text);
	buf_clear(b);
}

/* The answer to one that does not acknowledge. */
static void expect_client(struct gdb_client *c, const char *body)
{
	char text[3 * GDB_PACKET_MAX];
	uint8_t sum = 0;

	for (const char *p = body; *p; p++) {
		sum += (uint8_t)*p;
	}
	snprintf(text, sizeof(text), "$%s#%02x", body, sum);
	expect_raw(c, text);
}

static struct gdb_client *come_no_ack(struct fixture *x, bool controls)
{
	struct gdb_client *c = come(x, controls);

	client_put(c, "QStartNoAckMode");
	expect_raw(c, "+$OK#9a");
	return c;
}

static void one_controls(void **state)
{
	struct fixture x;
	struct gdb_client *c;

	begin(&x, true);
	c = come(&x, true);
	assert_true(gdb_client_controls(c));
	client_put(c, "qSupported:swbreak+");
	expect_raw(c, "+$PacketSize=4000;QStartNoAckMode+;qXfer:features:read+;vContSupported+#1b");
	client_put(c, "?");
	expect_raw(c, "+"); /* the stub is not ready */
	greet(&x);
	expect_raw(c, "$T05thread:02;#08");
	/* What it did not get right is sent again; what it sent wrong is asked for again. */
	assert_int_equal(gdb_client_input(c, "-", 1), 0);
	expect_raw(c, "$T05thread:02;#08");
	assert_int_equal(gdb_client_input(c, "+$g#00", 6), 0);
	expect_raw(c, "-");
	client_put(c, "QStartNoAckMode");
	expect_raw(c, "+$OK#9a");
	client_put(c, "qC");
	expect_client(c, "QC2");
	client_put(c, "g");
	expect_stub(&x, "Hg2|g|");
	stub_says(&x, "OK");
	stub_says(&x, "0011");
	expect_client(c, "0011");
	client_put(c, "vCont;s:2;c");
	expect_stub(&x, "vCont;s:2;c|");
	assert_false(gdb_broker_is_stopped(x.b));
	stub_says(&x, "T05thread:01;");
	expect_client(c, "T05thread:01;");
	assert_true(gdb_broker_is_stopped(x.b));
	/* In the old words. */
	client_put(c, "Hc1");
	expect_client(c, "OK");
	client_put(c, "s");
	expect_stub(&x, "vCont;s:1;c|");
	stub_says(&x, "T05thread:01;");
	expect_client(c, "T05thread:01;");
	client_put(c, "c");
	expect_stub(&x, "vCont;c|");
	assert_int_equal(gdb_client_input(c, "\x03", 1), 0);
	expect_stub(&x, "^C");
	stub_says(&x, "T02thread:01;");
	expect_client(c, "T02thread:01;");
	/* An interrupt of what is stopped does nothing. */
	assert_int_equal(gdb_client_input(c, "\x03", 1), 0);
	expect_stub(&x, "");
	gdb_client_free(c);
	expect_stub(&x, "vCont;c|");
	assert_true(gdb_broker_is_idle(x.b));
	end(&x);
}

static void forbidden_never_reach_the_stub(void **state)
{
	static const char *const bodies[] = { "qRcmd,71756974", "vKill;1", "R00", "vRun;",
					      "vAttach;1",	"vFile:x", "!",	  "X0,1:a",
					      "unheard-of",	"vCont;t", "F-1", "qOffsets" };
	struct fixture x;
	struct gdb_client *c;

	begin(&x, true);
	c = come_no_ack(&x, true);
	greet(&x);
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		client_put(c, bodies[i]);
		expect_client(c, "");
	}
	expect_stub(&x, "");
	/* He who would kill it leaves. */
	client_put(c, "k");
	assert_true(gdb_client_is_over(c));
	expect_stub(&x, "vCont;c|");
	gdb_client_free(c);
	end(&x);
}

static void long_reads_are_split(void **state)
{
	char part[1025], all[5 * 1024 + 1] = "";
	struct fixture x;
	struct gdb_client *c;

	begin(&x, true);
	c = come_no_ack(&x, false);
	greet(&x);
	gdb_broker_let_go(x.b);
	stub_got(&x);
	stub_says(&x, STOP); /* paused by somebody */
	memset(part, 'a', 1024);
	part[1024] = '\0';
	client_put(c, "m1000,500");
	expect_stub(&x, "m1000,200|m1200,200|m1400,100|");
	stub_says(&x, part);
	stub_says(&x, part);
	expect_raw(c, "");
	part[512] = '\0';
	stub_says(&x, part);
	memset(all, 'a', 2560);
	expect_client(c, all);
	/* What comes behind a part that cannot be read is not told. */
	client_put(c, "m1000,500");
	memset(part, 'b', 1024);
	part[1024] = '\0';
	stub_says(&x, part);
	stub_says(&x, "E14");
	stub_says(&x, part);
	expect_client(c, part);
	client_put(c, "m1000,4");
	stub_says(&x, "E14");
	expect_client(c, "E14");
	/* More than an answer has room for is not asked for. */
	stub_got(&x);
	client_put(c, "m0,ffffffffffffffff");
	assert_int_equal(strlen(stub_got(&x)),
			 strlen("m0,200|") + 7 * strlen("m200,200|") + 8 * strlen("m1000,200|"));
	gdb_client_free(c);
	end(&x);
}

static void long_writes_are_split(void **state)
{
	static char body[GDB_PACKET_MAX], want[GDB_PACKET_MAX];
	struct fixture x;
	struct gdb_client *c;
	size_t chunk = (0x400 - 40) / 2;

	begin(&x, true);
	c = come_no_ack(&x, true);
	greet(&x);
	strcpy(body, "M1000,300:");
	memset(body + strlen(body), 'c', 2 * 0x300);
	client_put(c, body);
	snprintf(want, sizeof(want), "M1000,%zx:%.*s|M%zx,%zx:%.*s|", chunk, (int)(2 * chunk),
		 body + 10, 0x1000 + chunk, 0x300 - chunk, (int)(2 * (0x300 - chunk)), body + 10);
	expect_stub(&x, want);
	stub_says(&x, "OK");
	stub_says(&x, "E14");
	expect_client(c, "E14");
	client_put(c, "M1000,2:00");
	expect_client(c, "E16");
	expect_stub(&x, "");
	gdb_client_free(c);
	end(&x);
}

static void others_read(void **state)
{
	struct fixture x;
	struct gdb_client *c, *r, *late;

	begin(&x, true);
	c = come_no_ack(&x, true);
	r = come_no_ack(&x, true);
	assert_false(gdb_client_controls(r));
	greet(&x);
	client_put(r, "Z0,1000,1");
	expect_client(r, "E01");
	client_put(r, "vCont;c");
	expect_client(r, "E01");
	client_put(r, "M1000,1:00");
	expect_client(r, "E01");
	assert_int_equal(gdb_client_input(r, "\x03", 1), 0);
	expect_stub(&x, "");
	/* Each looks at its own thread, by its own addresses. */
	client_put(r, "Hg1");
	expect_stub(&x, "Hg1|");
	stub_says(&x, "OK");
	expect_client(r, "OK");
	client_put(r, "Qqemu.PhyMemMode:1");
	expect_client(r, "OK");
	client_put(r, "m1000,4");
	expect_stub(&x, "Qqemu.PhyMemMode:1|m1000,4|");
	stub_says(&x, "OK");
	stub_says(&x, "01020304");
	expect_client(r, "01020304");
	client_put(c, "?");
	expect_client(c, STOP);
	client_put(c, "p10");
	expect_stub(&x, "Hg2|Qqemu.PhyMemMode:0|p10|");
	client_put(r, "qqemu.PhyMemMode");
	expect_client(r, "1");
	/* Both ask at once. */
	client_put(r, "p11");
	expect_stub(&x, "Hg1|Qqemu.PhyMemMode:1|p11|");
	stub_says(&x, "OK");
	stub_says(&x, "OK");
	stub_says(&x, "aa");
	expect_client(c, "aa");
	stub_says(&x, "OK");
	stub_says(&x, "OK");
	stub_says(&x, "bb");
	expect_client(r, "bb");
	/* While it runs nobody can read. */
	client_put(c, "vCont;c");
	expect_stub(&x, "vCont;c|");
	client_put(r, "g");
	expect_client(r, "E0b");
	expect_stub(&x, "");
	assert_int_equal(gdb_client_new(x.b, false, false, &late), FAULT_VM_NOT_STOPPED);
	gdb_client_free(r);
	expect_stub(&x, "");
	gdb_client_free(c);
	expect_stub(&x, "");
	assert_true(gdb_broker_is_idle(x.b));
	end(&x);
}

static void threads_at_once(void **state)
{
	struct fixture x;
	struct gdb_client *c;

	begin(&x, true);
	c = come_no_ack(&x, true);
	greet(&x);
	client_put(c, "qfThreadInfo");
	expect_stub(&x, "qfThreadInfo|");
	stub_says(&x, "m01");
	expect_stub(&x, "qsThreadInfo|");
	stub_says(&x, "m02");
	expect_stub(&x, "qsThreadInfo|");
	stub_says(&x, "l");
	expect_client(c, "m01,02");
	client_put(c, "qsThreadInfo");
	expect_client(c, "l");
	gdb_client_free(c);
	end(&x);
}

static void breakpoints_go(void **state)
{
	struct fixture x;
	struct gdb_client *c;

	begin(&x, true);
	c = come_no_ack(&x, true);
	greet(&x);
	client_put(c, "Z0,1000,1");
	stub_says(&x, "OK");
	client_put(c, "Z1,2000,1");
	stub_says(&x, "OK");
	client_put(c, "Z2,3000,4");
	stub_says(&x, "E22"); /* not set */
	client_put(c, "z0,1000,1");
	stub_says(&x, "OK");
	client_put(c, "Z9,1,1");
	stub_got(&x);
	client_put(c, "vCont;c");
	expect_stub(&x, "vCont;c|");
	/* It runs: stopped for a moment, and run on. */
	gdb_client_free(c);
	expect_stub(&x, "^C");
	assert_false(gdb_broker_is_idle(x.b));
	stub_says(&x, "T02thread:01;");
	expect_stub(&x, "z1,2000,1|vCont;c|");
	stub_says(&x, "OK");
	assert_true(gdb_broker_is_idle(x.b));
	assert_false(gdb_broker_is_stopped(x.b));
	/* An acknowledgement would stop it again. */
	assert_int_equal(buf_len(gdb_broker_to_stub(x.b)), 0);
	end(&x);
}

static void paused_stays_paused(void **state)
{
	struct fixture x;
	struct gdb_client *c;

	begin(&x, false);
	c = come_no_ack(&x, true);
	greet(&x);
	client_put(c, "Z1,2000,1");
	stub_says(&x, "OK");
	expect_client(c, "OK");
	stub_got(&x);
	client_put(c, "D");
	expect_client(c, "OK");
	assert_true(gdb_client_is_over(c));
	expect_stub(&x, "z1,2000,1|");
	stub_says(&x, "OK");
	gdb_client_free(c);
	stub_got(&x);
	assert_true(gdb_broker_is_idle(x.b));
	assert_false(gdb_broker_runs_after(x.b));
	end(&x);
}

static void leaves_before_the_greeting(void **state)
{
	struct fixture x;

	begin(&x, true);
	gdb_client_free(come(&x, true));
	assert_false(gdb_broker_is_idle(x.b));
	greet(&x);
	expect_stub(&x, "vCont;c|");
	assert_true(gdb_broker_is_idle(x.b));
	end(&x);
}

static void a_reader_stops_nothing(void **state)
{
	struct fixture x;
	struct gdb_client *r;

	/* It was let in while the target was stopped, which ran when the stub was there. */
	begin(&x, true);
	r = come_no_ack(&x, false);
	greet(&x);
	expect_stub(&x, "vCont;c|");
	gdb_client_free(r);
	end(&x);
}

static void taken_over(void **state)
{
	struct fixture x;
	struct gdb_client *c, *d;

	begin(&x, true);
	c = come_no_ack(&x, true);
	greet(&x);
	client_put(c, "Z1,2000,1");
	stub_says(&x, "OK");
	expect_client(c, "OK");
	client_put(c, "vCont;c");
	stub_got(&x);
	assert_int_equal(gdb_client_new(x.b, true, true, &d), FAULT_NONE);
	assert_true(gdb_client_controls(d));
	assert_false(gdb_client_controls(c));
	expect_stub(&x, "^C");
	client_put(d, "?");
	stub_says(&x, "T02thread:01;");
	expect_client(c, "T02thread:01;");
	expect_stub(&x, "z1,2000,1|"); /* and it stays stopped */
	expect_raw(d, "+$T02thread:01;#04");
	client_put(c, "vCont;c");
	expect_client(c, "E01");
	gdb_client_free(c);
	gdb_client_free(d);
	end(&x);
}

static void let_go(void **state)
{
	struct fixture x;
	struct gdb_client *c;

	begin(&x, false);
	c = come_no_ack(&x, true);
	greet(&x);
	client_put(c, "Z1,2000,1");
	stub_says(&x, "OK");
	stub_got(&x);
	gdb_broker_let_go(x.b);
	assert_true(gdb_client_is_over(c));
	assert_false(gdb_broker_is_controlled(x.b));
	expect_stub(&x, "z1,2000,1|vCont;c|");
	gdb_client_free(c);
	end(&x);
}

static void abandoned(void **state)
{
	struct fixture x;
	struct gdb_client *c;

	begin(&x, true);
	c = come_no_ack(&x, true);
	greet(&x);
	client_put(c, "Z1,2000,1");
	stub_says(&x, "OK");
	client_put(c, "vCont;c");
	stub_got(&x);
	assert_int_equal(gdb_broker_abandon(x.b), 0);
	expect_stub(&x, "^Cz1,2000,1|vCont;c|");
	gdb_client_free(c);
	end(&x);
}

static void the_stub_ends(void **state)
{
	struct fixture x;
	struct gdb_client *c;

	begin(&x, true);
	c = come_no_ack(&x, true);
	greet(&x);
	assert_int_equal(gdb_broker_from_stub(x.b, "$W00#b7", 7), -EPROTO);
	assert_true(gdb_client_is_over(c));
	gdb_client_free(c);
	assert_true(gdb_broker_is_idle(x.b));
	end(&x);
	/* An answer to nothing. */
	begin(&x, true);
	c = come_no_ack(&x, true);
	greet(&x);
	assert_int_equal(gdb_broker_from_stub(x.b, "$OK#9a", 6), -EPROTO);
	gdb_client_free(c);
	end(&x);
}

static void resumed_behind_our_back(void **state)
{
	struct fixture x;
	struct gdb_client *c;

	begin(&x, true);
	c = come_no_ack(&x, true);
	greet(&x);
	stub_got(&x);
	client_put(c, "p10");
	/* The first byte is what the stub stops its target at, and drops. */
	assert_int_equal(buf_data(gdb_broker_to_stub(x.b))[0], '+');
	stub_says(&x, "T02thread:01;");
	stub_says(&x, "aa");
	expect_client(c, "aa");
	gdb_client_free(c);
	end(&x);
}

static void many_breakpoints(void **state)
{
	struct fixture x;
	struct gdb_client *c;
	char text[32];

	begin(&x, true);
	c = come_no_ack(&x, true);
	greet(&x);
	for (unsigned i = 0; i < GDB_BREAKPOINTS_MAX; i++) {
		snprintf(text, sizeof(text), "Z0,%x,1", i);
		client_put(c, text);
		stub_says(&x, "OK");
		expect_client(c, "OK");
	}
	stub_got(&x);
	client_put(c, "Z0,ffff,1");
	expect_client(c, "E1c");
	expect_stub(&x, "");
	gdb_client_free(c);
	stub_got(&x);
	assert_string_equal(x.got + strlen(x.got) - strlen("z0,0,1|vCont;c|"), "z0,0,1|vCont;c|");
	end(&x);
}

static void many_clients(void **state)
{
	struct gdb_client *c[GDB_CLIENTS_MAX], *more;
	struct fixture x;

	begin(&x, true);
	for (unsigned i = 0; i < GDB_CLIENTS_MAX; i++) {
		c[i] = come(&x, true);
	}
	assert_int_equal(gdb_client_new(x.b, true, false, &more), FAULT_QUOTA);
	for (unsigned i = 0; i < GDB_CLIENTS_MAX; i++) {
		gdb_client_free(c[i]);
	}
	end(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_controls),
		cmocka_unit_test(forbidden_never_reach_the_stub),
		cmocka_unit_test(long_reads_are_split),
		cmocka_unit_test(long_writes_are_split),
		cmocka_unit_test(others_read),
		cmocka_unit_test(threads_at_once),
		cmocka_unit_test(breakpoints_go),
		cmocka_unit_test(paused_stays_paused),
		cmocka_unit_test(leaves_before_the_greeting),
		cmocka_unit_test(a_reader_stops_nothing),
		cmocka_unit_test(taken_over),
		cmocka_unit_test(let_go),
		cmocka_unit_test(abandoned),
		cmocka_unit_test(the_stub_ends),
		cmocka_unit_test(resumed_behind_our_back),
		cmocka_unit_test(many_breakpoints),
		cmocka_unit_test(many_clients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
