/* SPDX-License-Identifier: Apache-2.0 */
/* Whole small files and folders, in a folder of the test's own. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "parse.h"
#include "test.h"

static char folder[] = "/tmp/dvm-test-file-XXXXXX";

static int folder_make(void **state)
{
	return mkdtemp(folder) ? 0 : -1;
}

static int folder_remove(void **state)
{
	return dir_remove(folder);
}

/* A path in the folder; the last few stay valid. */
static const char *at(const char *name)
{
	static char paths[4][256];
	static unsigned turn;
	char *path = paths[turn++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static void writes_and_reads_whole_files(void **state)
{
	struct stat st;
	size_t len;
	char *text;

	assert_int_equal(file_read(at("none"), 10, &text, &len), -ENOENT);
	assert_int_equal(file_write_atomic(at("a"), "12345", 5, 0600), 0);
	assert_int_equal(stat(at("a"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(file_read(at("a"), 5, &text, &len), 0);
	assert_int_equal(len, 5);
	assert_string_equal(text, "12345");
	free(text);
	assert_int_equal(file_read(at("a"), 4, &text, NULL), -EFBIG);
	assert_int_equal(file_write_atomic(at("a"), "", 0, 0644), 0);
	assert_int_equal(stat(at("a"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(file_read(at("a"), 0, &text, &len), 0);
	assert_int_equal(len, 0);
	free(text);
}

static void reads_what_has_no_size(void **state)
{
	char *text;
	size_t len;

	assert_int_equal(file_read("/proc/self/maps", 1 << 20, &text, &len), 0);
	assert_true(len > 100);
	assert_int_equal(strlen(text), len);
	free(text);
	assert_int_equal(file_read(folder, 10, &text, &len), -EISDIR);
}

static void large_files(void **state)
{
	size_t size = 100001, len;
	char *big = malloc(size), *text;

	assert_non_null(big);
	memset(big, 'x', size);
	assert_int_equal(file_write_atomic(at("big"), big, size, 0600), 0);
	assert_int_equal(file_read(at("big"), size, &text, &len), 0);
	assert_int_equal(len, size);
	assert_memory_equal(text, big, size);
	free(text);
	free(big);
}

static void a_failed_write_leaves_the_old_and_no_litter(void **state)
{
	char *text;

	assert_int_equal(file_write_atomic(at("no/such/folder"), "x", 1, 0600), -ENOENT);
	assert_int_equal(dir_make(at("d/target/x"), 0700), 0);
	/* A folder is in the way of the rename. */
	assert_int_equal(file_write_atomic(at("d/target"), "x", 1, 0600), -EISDIR);
	assert_int_equal(file_read(at("d/target"), 1, &text, NULL), -EISDIR);
	assert_int_equal(dir_remove(at("d/target")), 0);
	assert_int_equal(rmdir(at("d")), 0); /* nothing else was left in it */
}

static void makes_folders(void **state)
{
	struct stat st;

	assert_int_equal(dir_make(at("x/y/z"), 0700), 0);
	assert_int_equal(stat(at("x/y/z"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(dir_make(at("x/y/z"), 0755), 0);
	assert_int_equal(dir_make(at("x//y/"), 0755), 0);
	assert_int_equal(stat(at("x/y/z"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(dir_make("/", 0700), 0);
	assert_int_equal(file_write_atomic(at("x/f"), "", 0, 0600), 0);
	assert_int_equal(dir_make(at("x/f"), 0700), -ENOTDIR);
	assert_int_equal(dir_make(at("x/f/g"), 0700), -ENOTDIR);
}

static void removes_without_following_links(void **state)
{
	struct stat st;

	assert_int_equal(dir_make(at("keep/inner"), 0700), 0);
	assert_int_equal(dir_make(at("gone/inner/deep"), 0700), 0);
	assert_int_equal(file_write_atomic(at("gone/inner/f"), "x", 1, 0400), 0);
	assert_int_equal(symlink("../keep", at("gone/link")), 0);
	assert_int_equal(symlink("nowhere", at("gone/dangling")), 0);
	assert_int_equal(mkfifo(at("gone/fifo"), 0600), 0);
	assert_int_equal(symlink("keep", at("link")), 0);
	assert_true(dir_remove(at("link")) < 0);
	assert_int_equal(dir_remove(at("gone")), 0);
	assert_int_equal(stat(at("gone"), &st), -1);
	assert_int_equal(stat(at("keep/inner"), &st), 0);
	assert_int_equal(dir_remove(at("gone")), 0);
	assert_int_equal(dir_remove(at("gone/inner")), 0);
}

static void depth_has_a_limit(void **state)
{
	char deep[400] = "deep";

	for (int i = 0; i < 70; i++) {
		strcat(deep, "/x");
	}
	assert_int_equal(dir_make(at(deep), 0700), 0);
	assert_int_equal(dir_remove(at("deep")), -ELOOP);
	deep[4 + 2 * 40] = '\0';
	assert_int_equal(dir_remove(at(deep)), 0);
	assert_int_equal(dir_remove(at("deep")), 0);
}

static void nonblocking(void **state)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fd_set_nonblock(fds[0]), 0);
	assert_true(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
	assert_int_equal(write_all(fds[1], "abc", 3), 0);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(fd_set_nonblock(fds[0]), -EBADF);
	assert_int_equal(write_all(fds[1], "abc", 3), -EBADF);
}

static void copies_the_rest_of_a_file(void **state)
{
	size_t n = 3 * 1024 * 1024 + 17, len;
	char *bytes = malloc(n), *text;
	int from, to;

	assert_non_null(bytes);
	for (size_t i = 0; i < n; i++) {
		bytes[i] = (char)(i * 31 >> 3);
	}
	assert_int_equal(file_write_atomic(at("from"), bytes, n, 0600), 0);
	from = open(at("from"), O_RDONLY);
	to = open(at("to"), O_WRONLY | O_CREAT, 0600);
	assert_true(from >= 0 && to >= 0);
	assert_int_equal(lseek(from, 17, SEEK_SET), 17);
	assert_int_equal(file_copy(from, to), 0);
	close(to);
	assert_int_equal(file_read(at("to"), n, &text, &len), 0);
	assert_int_equal(len, n - 17);
	assert_memory_equal(text, bytes + 17, len);
	free(text);
	/* to another file system, too */
	to = open("/dev/shm", O_TMPFILE | O_RDWR, 0600);
	assert_true(to >= 0);
	assert_int_equal(lseek(from, 0, SEEK_SET), 0);
	assert_int_equal(file_copy(from, to), 0);
	assert_int_equal(lseek(to, 0, SEEK_END), n);
	close(to);
	assert_int_equal(file_copy(from, -1), -EBADF);
	close(from);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_and_reads_whole_files),
		cmocka_unit_test(reads_what_has_no_size),
		cmocka_unit_test(large_files),
		cmocka_unit_test(a_failed_write_leaves_the_old_and_no_litter),
		cmocka_unit_test(makes_folders),
		cmocka_unit_test(removes_without_following_links),
		cmocka_unit_test(depth_has_a_limit),
		cmocka_unit_test(nonblocking),
		cmocka_unit_test(copies_the_rest_of_a_file),
	};

	return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
