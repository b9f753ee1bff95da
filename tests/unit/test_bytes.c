/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers in big-endian byte order: to bytes and back, beside other bytes. */
#include <string.h>

#include "bytes.h"
#include "test.h"

static void has_the_order_of_the_network(void **state)
{
	static const uint8_t bytes[] = { 0x81, 0x02, 0xf3, 0x04, 0x85, 0x06, 0xf7, 0x08 };

	(void)state;
	assert_int_equal(get_u16(bytes), 0x8102);
	assert_int_equal(get_u32(bytes), 0x8102f304);
	assert_true(get_u64(bytes) == 0x8102f3048506f708);
	assert_int_equal(get_u16(bytes + 1), 0x02f3);
	assert_int_equal(get_u32(bytes + 1), 0x02f30485);
}

static void writes_what_it_reads(void **state)
{
	static const uint64_t numbers[] = {
		0, 1, 0x80, 0xff00, 0x80000000, UINT32_MAX, UINT64_MAX, 0x8102f3048506f708
	};

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		uint8_t p[16], *next = p + 1;

		memset(p, 0xa5, sizeof(p));
		next = put_u16(next, (uint16_t)numbers[i]);
		next = put_u32(next, (uint32_t)numbers[i]);
		next = put_u64(next, numbers[i]);
		assert_ptr_equal(next, p + 15);
		assert_int_equal(get_u16(p + 1), (uint16_t)numbers[i]);
		assert_int_equal(get_u32(p + 3), (uint32_t)numbers[i]);
		assert_true(get_u64(p + 7) == numbers[i]);
		assert_int_equal(p[0], 0xa5);
		assert_int_equal(p[15], 0xa5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_the_order_of_the_network),
		cmocka_unit_test(writes_what_it_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
