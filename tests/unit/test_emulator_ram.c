/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of zeroes become holes, and nothing else changes. */
#include "emulator_ram.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

#define PAGE 4096
#define PAGES 64

static uint64_t taken(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks * 512 / PAGE;
}

static void test_zeroes_are_given_back(void **unused)
{
	static uint8_t before[PAGES * PAGE], after[PAGES * PAGE];
	int fd = memfd_create("ram", MFD_CLOEXEC);

	assert_true(fd >= 0);
	/* The first, the last, two in a row, and one with its last byte only. */
	before[5] = 1;
	before[PAGES * PAGE - 1] = 2;
	memset(before + 7 * PAGE, 3, 2 * PAGE);
	before[21 * PAGE - 1] = 4;
	assert_int_equal(pwrite(fd, before, sizeof(before), 0), sizeof(before));
	assert_int_equal(taken(fd), PAGES);
	assert_int_equal(ram_file_trim(fd, sizeof(before)), 0);
	assert_int_equal(taken(fd), 5);
	/* Once more, over holes. */
	assert_int_equal(ram_file_trim(fd, sizeof(before)), 0);
	assert_int_equal(taken(fd), 5);
	assert_int_equal(pread(fd, after, sizeof(after), 0), sizeof(after));
	assert_memory_equal(before, after, sizeof(before));
	close(fd);
}

static void test_no_process(void **unused)
{
	char folder[] = "/tmp/dvm-test-ram-XXXXXX", path[64];
	FILE *file;

	assert_non_null(mkdtemp(folder));
	assert_int_equal(emulator_ram_trim(folder, "dvm-p-1", PAGE), -ENOENT);
	assert_int_equal(emulator_ram_trim(folder, "../dvm-p-1", PAGE), -EINVAL);
	/* A process that is another one's: ourselves. */
	snprintf(path, sizeof(path), "%s/dvm-p-1.pid", folder);
	file = fopen(path, "w");
	assert_non_null(file);
	fprintf(file, "%d\n", getpid());
	fclose(file);
	assert_int_equal(emulator_ram_trim(folder, "dvm-p-1", PAGE), -ENOENT);
	unlink(path);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zeroes_are_given_back),
		cmocka_unit_test(test_no_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
