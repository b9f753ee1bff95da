/* SPDX-License-Identifier: Apache-2.0 */
/* dvm.ini as dvmd reads it. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "file.h"

static int load(const char *text, struct config *ret, struct fault *fault)
{
	char path[] = "/tmp/dvm-config-XXXXXX";
	int fd = mkstemp(path), r;

	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, text, strlen(text)), 0);
	close(fd);
	r = config_load(path, ret, fault);
	unlink(path);
	return r;
}

static void test_defaults(void **state)
{
	struct config c;
	struct fault fault;

	assert_int_equal(config_load("/nonexistent/dvm.ini", &c, &fault), 0);
	assert_int_equal(c.lease_default, 3600 * USEC_PER_SEC);
	assert_int_equal(c.provision_deadline, 60 * USEC_PER_SEC);
	assert_string_equal(c.image, "");
}

static void test_values(void **state)
{
	struct config c;
	struct fault fault;

	assert_int_equal(load("[session]\nlease-default = 30m\nper-project = 3\n"
			      "[dvm]\nmemory-mib = 512\nimage = debian-12\n"
			      "[record]\nevents-max = 5000\n"
			      "[gate]\nlisten = 127.0.0.1:0\n"
			      "[console]\nscrollback = 2M\n",
			      &c, &fault),
			 0);
	assert_int_equal(c.lease_default, 1800 * USEC_PER_SEC);
	assert_int_equal(c.sessions_per_project, 3);
	assert_int_equal(c.dvm_memory_mib, 512);
	assert_string_equal(c.image, "debian-12");
	assert_int_equal(c.events_max, 5000);
}

static void test_refused(void **state)
{
	static const struct {
		const char *text;
		enum fault_code code;
	} wrong[] = {
		{ "[session]\nlease = 1h\n", FAULT_UNKNOWN_FIELD },
		{ "[dvmm]\nmemory-mib = 512\n", FAULT_UNKNOWN_FIELD },
		{ "[session]\nlease-default = soon\n", FAULT_BAD_VALUE },
		{ "[session]\nlease-default = 1s\n", FAULT_BAD_VALUE },
		{ "[session]\nlease-default = 2h\nlease-max = 1h\n", FAULT_BAD_VALUE },
		{ "[session]\nper-project = 0\n", FAULT_BAD_VALUE },
		{ "[session]\nper-project = -1\n", FAULT_BAD_VALUE },
		{ "[dvm]\nmemory-mib = 99999999999\n", FAULT_BAD_VALUE },
		{ "[dvm]\nimage =\n", FAULT_BAD_VALUE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct config c;
		struct fault fault = { 0 };

		assert_int_equal(load(wrong[i].text, &c, &fault), -EREMOTEIO);
		if (fault.code != wrong[i].code) {
			print_error("%s: %s\n", wrong[i].text, fault.message);
		}
		assert_int_equal(fault.code, wrong[i].code);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
