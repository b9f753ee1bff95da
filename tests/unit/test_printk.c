/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's log: the ring of 5.10 and later, the buffer before it, both whole and damaged. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "printk.h"
#include "test.h"

#define BASE 0xffffffff80000000u
#define COUNT_BITS 3
#define DESCS_AT 256
#define INFOS_AT 512
#define TEXT_AT 1536
#define TEXT_BITS 8
#define FINAL ((uint64_t)2 << 62)

static const char ring_text[] =
	"OSRELEASE=6.1\nSYMBOL(prb)=ffffffff80000000\nOFFSET(printk_ringbuffer.desc_ring)=0\n"
	"OFFSET(printk_ringbuffer.text_data_ring)=64\nOFFSET(prb_desc_ring.count_bits)=0\n"
	"OFFSET(prb_desc_ring.descs)=8\nOFFSET(prb_desc_ring.infos)=16\n"
	"OFFSET(prb_desc_ring.head_id)=24\nOFFSET(prb_desc_ring.tail_id)=32\n"
	"SIZE(prb_desc)=24\nOFFSET(prb_desc.state_var)=0\nOFFSET(prb_desc.text_blk_lpos)=8\n"
	"OFFSET(prb_data_blk_lpos.begin)=0\nOFFSET(prb_data_blk_lpos.next)=8\n"
	"SIZE(printk_info)=88\nOFFSET(printk_info.seq)=0\nOFFSET(printk_info.ts_nsec)=8\n"
	"OFFSET(printk_info.text_len)=16\nOFFSET(printk_info.caller_id)=20\n"
	"OFFSET(prb_data_ring.size_bits)=0\nOFFSET(prb_data_ring.data)=8\n";

static const char old_text[] =
	"OSRELEASE=5.4\nSYMBOL(log_buf)=ffffffff80000000\nSYMBOL(log_buf_len)=ffffffff80000008\n"
	"SYMBOL(log_first_idx)=ffffffff8000000c\nSYMBOL(log_next_idx)=ffffffff80000010\n"
	"SIZE(printk_log)=16\nOFFSET(printk_log.ts_nsec)=0\nOFFSET(printk_log.len)=8\n"
	"OFFSET(printk_log.text_len)=10\nOFFSET(printk_log.dict_len)=12\n";

static uint8_t guest[4096];

static int read_guest(void *user, uint64_t address, void *p, size_t len)
{
	(void)user;
	if (address - BASE > sizeof(guest) || len > sizeof(guest) - (address - BASE)) {
		return -EFAULT;
	}
	memcpy(p, guest + (address - BASE), len);
	return 0;
}

static const struct printk_memory memory = { read_guest, NULL };

static void put(size_t at, uint64_t v, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		guest[at + i] = (uint8_t)(v >> 8 * i);
	}
}

struct seen {
	char text[512];
	uint64_t last_time;
	unsigned n, last_level;
};

static void collect(const struct printk_record *r, void *user)
{
	struct seen *s = user;

	strncat(s->text, r->text, sizeof(s->text) - strlen(s->text) - 2);
	strcat(s->text, "|");
	s->last_time = r->time_ns;
	s->last_level = r->level;
	s->n++;
}

/* Record `id` with a block at `begin` of the text ring; returns where the next one begins. */
static uint64_t record(uint64_t id, uint64_t begin, const char *text)
{
	size_t index = id % (1 << COUNT_BITS), len = strlen(text);
	uint64_t next = begin + ((8 + len + 7) & ~(size_t)7), at = begin % (1 << TEXT_BITS);

	if (begin >> TEXT_BITS != (next - 1) >> TEXT_BITS) { /* wraps: it begins anew */
		at = 0;
		next = (((begin >> TEXT_BITS) + 1) << TEXT_BITS) + ((8 + len + 7) & ~(size_t)7);
	}
	put(DESCS_AT + index * 24, FINAL | id, 8);
	put(DESCS_AT + index * 24 + 8, begin, 8);
	put(DESCS_AT + index * 24 + 16, next, 8);
	put(INFOS_AT + index * 88, id + 100, 8);
	put(INFOS_AT + index * 88 + 8, id * 1000, 8);
	put(INFOS_AT + index * 88 + 16, len, 2);
	guest[INFOS_AT + index * 88 + 19] = 4 << 5;
	put(TEXT_AT + at, id, 8);
	memcpy(guest + TEXT_AT + at + 8, text, len);
	return next;
}

static void ring(uint64_t tail, uint64_t head)
{
	memset(guest, 0, sizeof(guest));
	put(0, BASE + 128, 8);
	put(128, COUNT_BITS, 4);
	put(128 + 8, BASE + DESCS_AT, 8);
	put(128 + 16, BASE + INFOS_AT, 8);
	put(128 + 24, head, 8);
	put(128 + 32, tail, 8);
	put(128 + 64, TEXT_BITS, 4);
	put(128 + 72, BASE + TEXT_AT, 8);
}

static int run(const char *info, uint64_t from, struct seen *seen, struct printk_result *result)
{
	struct vmcoreinfo v;
	int r;

	*seen = (struct seen){ 0 };
	assert_int_equal(vmcoreinfo_init(&v, info, strlen(info)), 0);
	r = printk_each(&v, &memory, from, collect, seen, result);
	vmcoreinfo_fini(&v);
	return r;
}

static void in_order(void **state)
{
	struct printk_result result;
	struct seen seen;
	uint64_t at = 200; /* so that one wraps */

	(void)state;
	ring(6, 9);
	at = record(6, at, "first");
	at = record(7, at, "of two\nlines");
	at = record(8, at, "long enough to go around");
	record(9, at, "last\x1b[31m");
	assert_int_equal(run(ring_text, 0, &seen, &result), 0);
	assert_string_equal(seen.text, "first|of two\nlines|long enough to go around|last?[31m|");
	assert_int_equal(seen.last_level, 4);
	assert_true(seen.last_time == 9000);
	assert_true(result.next == 110 && result.damaged == 0 && result.lost == 0);
	assert_int_equal(run(ring_text, 108, &seen, &result), 0);
	assert_int_equal(seen.n, 2);
	assert_int_equal(run(ring_text, 101, &seen, &result), 0);
	assert_true(result.lost == 5);
}

static void not_ready_or_damaged(void **state)
{
	struct printk_result result;
	struct seen seen;
	uint64_t at = 0;

	(void)state;
	ring(0, 3);
	at = record(0, at, "zero");
	at = record(1, at, "one");
	at = record(2, at, "two");
	record(3, at, "three");
	put(DESCS_AT + 24, 1, 8);	     /* still being written */
	put(DESCS_AT + 48 + 16, 1 << 20, 8); /* ends nowhere */
	assert_int_equal(run(ring_text, 0, &seen, &result), 0);
	assert_string_equal(seen.text, "zero|three|");
	assert_true(result.damaged == 1);
	/* a length beyond the block: cut to it */
	put(INFOS_AT + 16, 65535, 2);
	assert_int_equal(run(ring_text, 0, &seen, &result), 0);
	assert_int_equal(seen.n, 2);
	/* rings of impossible sizes */
	put(128, 63, 4);
	assert_int_equal(run(ring_text, 0, &seen, &result), -EBADMSG);
	put(128, COUNT_BITS, 4);
	put(128 + 24, 1000, 8);
	assert_int_equal(run(ring_text, 0, &seen, &result), -EBADMSG);
	put(0, 0, 8);
	assert_int_equal(run(ring_text, 0, &seen, &result), -EFAULT);
	assert_int_equal(run("OSRELEASE=6.1\nSYMBOL(prb)=1\n", 0, &seen, &result), -ENOENT);
}

static size_t old_record(size_t at, uint64_t time, const char *text)
{
	size_t len = (16 + strlen(text) + 3) & ~(size_t)3;

	put(256 + at, time, 8);
	put(256 + at + 8, len, 2);
	put(256 + at + 10, strlen(text), 2);
	guest[256 + at + 15] = 6 << 5;
	memcpy(guest + 256 + at + 16, text, strlen(text));
	return at + len;
}

static void before_5_10(void **state)
{
	struct printk_result result;
	struct seen seen;
	size_t at;

	(void)state;
	memset(guest, 0, sizeof(guest));
	put(0, BASE + 256, 8);
	put(8, 128, 4);
	put(12, 40, 4);
	at = old_record(40, 5, "older");
	at = old_record(at, 6, "middle");
	assert_true(at <= 112); /* and there a length of 0: go on at the start */
	put(16, old_record(0, 7, "newest"), 4);
	assert_int_equal(run(old_text, 0, &seen, &result), 0);
	assert_string_equal(seen.text, "older|middle|newest|");
	assert_int_equal(seen.last_level, 6);
	put(256 + 40 + 8, 4000, 2);
	assert_int_equal(run(old_text, 0, &seen, &result), 0);
	assert_int_equal(seen.n, 0);
	assert_true(result.damaged == 1);
	/* nothing but lengths of 0, and an end that is never met */
	memset(guest + 256, 0, 256);
	put(16, 77, 4);
	assert_int_equal(run(old_text, 0, &seen, &result), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order),
		cmocka_unit_test(not_ready_or_damaged),
		cmocka_unit_test(before_5_10),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
