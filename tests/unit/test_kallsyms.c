/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's packed symbol table, in the forms it has had. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kallsyms.h"
#include "test.h"

/* Every letter is its own token; number 1 is "sched", to have one with several letters, and number
 * 2 is "Tdo_": the type too may be part of one. */
static uint8_t token_table[1024], token_index[512];
static size_t token_len;

static int make_tokens(void **state)
{
	(void)state;
	token_len = 0;
	for (int i = 0; i < 256; i++) {
		char text[8] = { (char)(i ? i : '?') };

		if (i == 1) {
			strcpy(text, "sched");
		} else if (i == 2) {
			strcpy(text, "Tdo_");
		}
		token_index[2 * i] = (uint8_t)token_len;
		token_index[2 * i + 1] = (uint8_t)(token_len >> 8);
		memcpy(token_table + token_len, text, strlen(text) + 1);
		token_len += strlen(text) + 1;
	}
	return 0;
}

static const uint8_t names[] = "\x05Tidle"
			       "\x03T\x01!"
			       "\x04\x02"
			       "one"
			       "\x04"
			       "Dvar";

static void put_u32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++) {
		p[i] = (uint8_t)(v >> 8 * i);
	}
}

static struct kallsyms_tables tables(uint8_t offsets[16], bool percpu)
{
	const uint32_t at[4] = { 0x10, 0x40, 0x100, 0x2000 };

	for (int i = 0; i < 4; i++) {
		put_u32(offsets + 4 * i, percpu && i > 0 ? (uint32_t)(-1 - (int32_t)at[i]) : at[i]);
	}
	return (struct kallsyms_tables){
		.names = names,
		.names_len = sizeof(names) - 1,
		.token_table = token_table,
		.token_table_len = token_len,
		.token_index = token_index,
		.offsets = offsets,
		.n = 4,
		.relative_base = 0xffffffff81000000,
	};
}

static void by_name_and_address(void **state)
{
	uint8_t offsets[16];
	struct kallsyms_tables t = tables(offsets, false);
	char name[KALLSYMS_NAME_MAX], type;
	uint64_t address, start, size;
	struct kallsyms *k;

	(void)state;
	assert_int_equal(kallsyms_new(&t, &k), 0);
	assert_int_equal(kallsyms_count(k), 4);
	assert_true(kallsyms_find(k, "idle", &address));
	assert_true(address == 0xffffffff81000010);
	assert_true(kallsyms_find(k, "sched!", &address));
	assert_true(address == 0xffffffff81000040);
	assert_true(kallsyms_find(k, "do_one", &address));
	assert_true(address == 0xffffffff81000100);
	assert_false(kallsyms_find(k, "Tidle", &address));
	assert_false(kallsyms_find(k, "", &address));
	assert_true(kallsyms_at(k, 0xffffffff81000045, name, &start, &size));
	assert_string_equal(name, "sched!");
	assert_true(start == 0xffffffff81000040 && size == 0xc0);
	assert_false(kallsyms_at(k, 0xffffffff8100000f, name, &start, &size));
	assert_true(kallsyms_get(k, 3, name, &type, &address));
	assert_string_equal(name, "var");
	assert_int_equal(type, 'D');
	assert_false(kallsyms_get(k, 4, name, &type, &address));
	kallsyms_free(k);
}

static void absolute_percpu(void **state)
{
	uint8_t offsets[16];
	struct kallsyms_tables t = tables(offsets, true);
	struct kallsyms *k;
	uint64_t address;

	(void)state;
	assert_int_equal(kallsyms_new(&t, &k), 0);
	assert_true(kallsyms_find(k, "idle", &address));
	assert_true(address == 0x10);
	assert_true(kallsyms_find(k, "var", &address));
	assert_true(address == 0xffffffff81002000);
	kallsyms_free(k);
}

static void plain_addresses(void **state)
{
	uint8_t offsets[16], addresses[32] = { 0 };
	struct kallsyms_tables t = tables(offsets, false);
	struct kallsyms *k;
	uint64_t address;

	(void)state;
	t.absolute = true;
	t.offsets = addresses;
	for (int i = 0; i < 4; i++) {
		put_u32(addresses + 8 * i, 0x81000000 + 16 * (uint32_t)i);
		put_u32(addresses + 8 * i + 4, 0xffffffff);
	}
	assert_int_equal(kallsyms_new(&t, &k), 0);
	assert_true(kallsyms_find(k, "do_one", &address));
	assert_true(address == 0xffffffff81000020);
	kallsyms_free(k);
}

/* Since 6.1 a length of 128 and more has two bytes. */
static void long_name(void **state)
{
	uint8_t packed[2 + 301], offset[4] = { 0 };
	struct kallsyms_tables t = { 0 };
	char name[KALLSYMS_NAME_MAX];
	uint64_t start, size;
	struct kallsyms *k;

	(void)state;
	memset(packed, 'x', sizeof(packed));
	packed[0] = 0x80 | (301 & 0x7f);
	packed[1] = 301 >> 7;
	packed[2] = 'T';
	t = tables((uint8_t[16]){ 0 }, false);
	t.names = packed;
	t.names_len = sizeof(packed);
	t.offsets = offset;
	t.n = 1;
	assert_int_equal(kallsyms_new(&t, &k), 0);
	assert_true(kallsyms_at(k, 0xffffffff81000000, name, &start, &size));
	assert_int_equal(strlen(name), 300);
	kallsyms_free(k);
}

static void nonsense(void **state)
{
	uint8_t offsets[16];
	struct kallsyms_tables t = tables(offsets, false);
	uint8_t wild[512];
	struct kallsyms *k;

	(void)state;
	t.n = 0;
	assert_int_equal(kallsyms_new(&t, &k), -EINVAL);
	t.n = KALLSYMS_MAX + 1;
	assert_int_equal(kallsyms_new(&t, &k), -EINVAL);
	/* more symbols than names: as many as there are */
	t = tables(offsets, false);
	t.names_len = 8;
	assert_int_equal(kallsyms_new(&t, &k), 0);
	assert_int_equal(kallsyms_count(k), 1);
	kallsyms_free(k);
	memset(wild, 0xff, sizeof(wild));
	t.token_index = wild;
	assert_int_equal(kallsyms_new(&t, &k), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_name_and_address),
		cmocka_unit_test(absolute_percpu),
		cmocka_unit_test(plain_addresses),
		cmocka_unit_test(long_name),
		cmocka_unit_test(nonsense),
	};

	return cmocka_run_group_tests(tests, make_tokens, NULL);
}
