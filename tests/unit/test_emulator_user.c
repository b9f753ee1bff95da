/* SPDX-License-Identifier: Apache-2.0 */
/* What an emulator with a user of its own needs of the host. */
#include "emulator_user.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"
#include "parse.h"
#include "test.h"

static char folder[] = "/tmp/dvm-test-emulator-XXXXXX";

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static void folder_lets_everybody_pass(void **state)
{
	assert_int_equal(chmod(folder, 0750), 0);
	assert_int_equal(emulator_folder_open(folder), 0);
	assert_int_equal(mode_of(folder), 0751);
	assert_int_equal(chmod(folder, 02711), 0);
	assert_int_equal(emulator_folder_open(folder), 0);
	assert_int_equal(mode_of(folder), 02711);
}

static void no_folder_is_libvirts_affair(void **state)
{
	_cleanup_free_ char *none = strf("%s/none", folder);
	_cleanup_free_ char *link = strf("%s/link", folder);

	assert_int_equal(emulator_folder_open(none), 0);
	assert_int_equal(symlink("/", link), 0);
	assert_true(emulator_folder_open(link) < 0);
	assert_int_equal(unlink(link), 0);
}

static void group_of_the_device_only_where_it_is_needed(void **state)
{
	_cleanup_free_ char *device = strf("%s/kvm", folder);
	gid_t other = getgid() + 1;

	assert_int_equal(emulator_group(device, other), other);
	assert_int_equal(file_write_atomic(device, "", 0, 0660), 0);
	assert_int_equal(chmod(device, 0660), 0);
	assert_int_equal(emulator_group(device, other), getgid());
	assert_int_equal(chmod(device, 0666), 0);
	assert_int_equal(emulator_group(device, other), other);
	assert_int_equal(chmod(device, 0600), 0);
	assert_int_equal(emulator_group(device, other), other);
	assert_int_equal(unlink(device), 0);
}

static int setup(void **state)
{
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(folder_lets_everybody_pass),
		cmocka_unit_test(no_folder_is_libvirts_affair),
		cmocka_unit_test(group_of_the_device_only_where_it_is_needed),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
