/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests of src/io/unix.c. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "file.h"
#include "parse.h"
#include "test.h"
#include "unix.h"

struct fixture {
	char dir[64];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/dvm-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(dir_remove(f->dir), 0);
	free(f);
	return 0;
}

static void assert_flags(int fd)
{
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

static void check_exchange(const char *path)
{
	_cleanup_close_ int listener = -1, client = -1, server = -1;
	char byte = 0;
	struct stat st;
	pid_t pid;
	uid_t uid;

	assert_int_equal(unix_listen(path, 0600, &listener), 0);
	assert_int_equal(unix_accept(listener, &server), -EAGAIN);
	assert_int_equal(unix_connect(path, &client), 0);
	assert_int_equal(unix_accept(listener, &server), 0);
	assert_flags(listener);
	assert_flags(client);
	assert_flags(server);
	assert_int_equal(write(client, "x", 1), 1);
	assert_int_equal(read(server, &byte, 1), 1);
	assert_int_equal(byte, 'x');
	assert_int_equal(unix_peer(server, &pid, &uid), 0);
	assert_int_equal(pid, getpid());
	assert_int_equal(uid, getuid());
	if (stat(path, &st) == 0) {
		assert_int_equal(st.st_mode & 07777, 0600);
	}
}

static void test_listen_and_connect(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *path = strf("%s/socket", f->dir);

	check_exchange(path);
}

static void test_mode_is_not_narrowed_by_umask(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *path = strf("%s/socket", f->dir);
	_cleanup_close_ int listener = -1;
	mode_t old = umask(077);
	struct stat st;

	assert_int_equal(unix_listen(path, 0666, &listener), 0);
	umask(old);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0666);
}

static void test_long_path(void **state)
{
	struct fixture *f = *state;
	char deep[201];
	_cleanup_free_ char *dir = NULL, *path = NULL;

	memset(deep, 'd', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	dir = strf("%s/%s", f->dir, deep);
	path = strf("%s/socket", dir);
	assert_int_equal(dir_make(dir, 0700), 0);
	check_exchange(path);
	check_exchange(path); /* now a stale one is there */
}

static void test_stale_socket_is_replaced_live_one_is_not(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *path = strf("%s/socket", f->dir);
	int first, second, fd;

	assert_int_equal(unix_connect(path, &fd), -ENOENT);
	assert_int_equal(unix_listen(path, 0600, &first), 0);
	assert_int_equal(unix_listen(path, 0600, &second), -EADDRINUSE);
	close(first);
	assert_int_equal(unix_connect(path, &fd), -ECONNREFUSED);
	assert_int_equal(unix_listen(path, 0600, &second), 0);
	close(second);
}

static void test_file_is_not_replaced(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *path = strf("%s/socket", f->dir);
	int fd;

	assert_int_equal(file_write_atomic(path, "precious", 8, 0600), 0);
	assert_int_equal(unix_listen(path, 0600, &fd), -EEXIST);
	assert_int_equal(access(path, F_OK), 0);
}

static void test_pair(void **state)
{
	int fds[2];

	assert_int_equal(unix_pair(fds), 0);
	assert_flags(fds[0]);
	assert_flags(fds[1]);
	assert_int_equal(write(fds[0], "ab", 2), 2);
	close(fds[0]);
	close(fds[1]);
}

static void test_pid_lock(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *path = strf("%s/lock", f->dir), *text = NULL, *expected = NULL;
	int ready[2], fd, status;
	char byte;
	pid_t child;

	assert_int_equal(pid_lock_owner(path), 0);
	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		_exit(pid_lock(path, &fd) == 0 && write(ready[1], "x", 1) == 1 ? pause() : 1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(pid_lock_owner(path), child);
	assert_int_equal(pid_lock(path, &fd), -EEXIST);
	assert_int_equal(file_read(path, 64, &text, NULL), 0);
	expected = strf("%d\n", (int)child);
	assert_string_equal(text, expected);

	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(pid_lock_owner(path), 0);
	assert_int_equal(pid_lock(path, &fd), 0);
	close(fd);
	close(ready[0]);
	close(ready[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_listen_and_connect, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mode_is_not_narrowed_by_umask, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_long_path, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stale_socket_is_replaced_live_one_is_not,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_file_is_not_replaced, setup, teardown),
		cmocka_unit_test(test_pair),
		cmocka_unit_test_setup_teardown(test_pid_lock, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
