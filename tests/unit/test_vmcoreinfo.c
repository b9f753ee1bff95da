/* SPDX-License-Identifier: Apache-2.0 */
/* VMCOREINFO's text. */
#include <errno.h>
#include <string.h>

#include "test.h"
#include "vmcoreinfo.h"

static const char text[] = "OSRELEASE=6.1.0-test\nPAGESIZE=4096\nSYMBOL(prb)=ffffffff82345678\n"
			   "OFFSET(printk_info.seq)=0\nSIZE(prb_desc)=24\n"
			   "NUMBER(phys_base)=-4096\nKERNELOFFSET=1e000000\nBROKEN(x)=12z\n"
			   "NUMBER(big)=99999999999999999999999\nlast line without end=";

static void values(void **state)
{
	struct vmcoreinfo v;
	char out[8];
	uint64_t n;

	(void)state;
	assert_int_equal(vmcoreinfo_init(&v, text, sizeof(text)), 0);
	assert_true(vmcoreinfo_value(&v, "SYMBOL", "prb", &n));
	assert_true(n == 0xffffffff82345678);
	assert_true(vmcoreinfo_value(&v, "OFFSET", "printk_info.seq", &n));
	assert_true(n == 0);
	assert_true(vmcoreinfo_value(&v, "NUMBER", "phys_base", &n));
	assert_true(n == (uint64_t)-4096);
	assert_true(vmcoreinfo_hex(&v, "KERNELOFFSET", &n));
	assert_true(n == 0x1e000000);
	assert_false(vmcoreinfo_value(&v, "SYMBOL", "pr", &n));
	assert_false(vmcoreinfo_value(&v, "SIZE", "prb", &n));
	assert_false(vmcoreinfo_value(&v, "BROKEN", "x", &n));
	assert_false(vmcoreinfo_value(&v, "NUMBER", "big", &n));
	assert_true(vmcoreinfo_text(&v, "OSRELEASE", out, sizeof(out)));
	assert_string_equal(out, "6.1.0-t"); /* cut */
	assert_true(vmcoreinfo_text(&v, "last line without end", out, sizeof(out)));
	assert_string_equal(out, "");
	assert_false(vmcoreinfo_text(&v, "last line", out, sizeof(out)));
	vmcoreinfo_fini(&v);
}

static void no_text(void **state)
{
	struct vmcoreinfo v = { 0 };
	static char large[VMCOREINFO_MAX + 2];
	char out[8];

	(void)state;
	assert_int_equal(vmcoreinfo_init(&v, "", 0), -EINVAL);
	assert_int_equal(vmcoreinfo_init(&v, "PAGESIZE=4096\n", 14), -EINVAL);
	memset(large, 'a', sizeof(large));
	memcpy(large, "OSRELEASE=", 10);
	assert_int_equal(vmcoreinfo_init(&v, large, sizeof(large)), -EINVAL);
	assert_false(vmcoreinfo_text(&v, "OSRELEASE", out, sizeof(out)));
	vmcoreinfo_fini(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(values), cmocka_unit_test(no_text) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
