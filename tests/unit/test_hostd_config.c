/* SPDX-License-Identifier: Apache-2.0 */
/* dvm.ini as dvm-hostd reads it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "file.h"
#include "test.h"

static int load(const char *text, struct hostd_config *ret, struct fault *fault)
{
	char path[] = "/tmp/dvm-config-XXXXXX";
	int fd = mkstemp(path), r;

	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, text, strlen(text)), 0);
	close(fd);
	r = hostd_config_load(path, ret, fault);
	unlink(path);
	return r;
}

static void defaults(void **state)
{
	struct hostd_config c;
	struct fault fault;

	(void)state;
	assert_int_equal(hostd_config_load("/nonexistent/dvm.ini", &c, &fault), 0);
	assert_int_equal(c.scrollback_bytes, 1024 * 1024);
	assert_int_equal(
		load("[gate]\nlisten = 127.0.0.1:0\n[session]\nanything = else\n", &c, &fault), 0);
	assert_int_equal(c.scrollback_bytes, 1024 * 1024);
}

static void values(void **state)
{
	struct hostd_config c;
	struct fault fault;

	(void)state;
	assert_int_equal(load("[console]\nscrollback = 64K\n", &c, &fault), 0);
	assert_int_equal(c.scrollback_bytes, 65536);
	assert_int_equal(load("[console]\nscrollback = 256M\n", &c, &fault), 0);
	assert_int_equal(c.scrollback_bytes, 256 * 1024 * 1024);
	assert_int_equal(load("[console]\nhistory = 8M\nhistory-total = 1G\n", &c, &fault), 0);
	assert_int_equal(c.history_bytes, 8 << 20);
	assert_int_equal(c.history_total_bytes, 1 << 30);
	assert_true(c.stopped_limit == 15 * 60 * USEC_PER_SEC);
	assert_int_equal(load("[debugger]\nstopped-limit = 90\n", &c, &fault), 0);
	assert_true(c.stopped_limit == 90 * USEC_PER_SEC);
}

static void refused(void **state)
{
	static const struct {
		const char *text;
		enum fault_code code;
	} wrong[] = {
		{ "[console]\nscrollback = 65535\n", FAULT_BAD_VALUE },
		{ "[console]\nscrollback = 257M\n", FAULT_BAD_VALUE },
		{ "[console]\nscrollback = -1\n", FAULT_BAD_VALUE },
		{ "[console]\nscrollback = much\n", FAULT_BAD_VALUE },
		{ "[console]\nscrollback =\n", FAULT_BAD_VALUE },
		{ "[console]\nscrollback = 99999999999999999999\n", FAULT_BAD_VALUE },
		{ "[console]\nhistory = 1K\n", FAULT_BAD_VALUE },
		{ "[console]\nhistory-total = 2048T\n", FAULT_BAD_VALUE },
		{ "[console]\nhistory = 2M\nhistory-total = 1M\n", FAULT_BAD_VALUE },
		{ "[debugger]\nstopped-limit = 0\n", FAULT_BAD_VALUE },
		{ "[debugger]\nstopped-limit = 8d\n", FAULT_BAD_VALUE },
		{ "[debugger]\nlimit = 1h\n", FAULT_UNKNOWN_FIELD },
		{ "[console]\nscrolback = 1M\n", FAULT_UNKNOWN_FIELD },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct hostd_config c = { .scrollback_bytes = 7 };
		struct fault fault = { 0 };

		assert_int_equal(load(wrong[i].text, &c, &fault), -EREMOTEIO);
		if (fault.code != wrong[i].code) {
			print_error("%s: %s\n", wrong[i].text, fault.message);
		}
		assert_int_equal(fault.code, wrong[i].code);
		assert_int_equal(c.scrollback_bytes, 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(values),
		cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
