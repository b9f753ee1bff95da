/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the supervisor: the gate's socket, the limit of logs, processes known by their locks. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "file.h"
#include "leftover.h"
#include "listener.h"
#include "parse.h"
#include "service.h"
#include "test.h"
#include "unix.h"

static int make_folder(void **state)
{
	char template[] = "/tmp/dvm-test-XXXXXX";

	*state = strdup(mkdtemp(template));
	return *state ? 0 : -1;
}

static int remove_folder(void **state)
{
	int r = dir_remove(*state);

	free(*state);
	return r;
}

static void the_port_is_kept(void **state)
{
	_cleanup_free_ char *port_path = strf("%s/gate.port", (const char *)*state);
	_cleanup_free_ char *first = NULL;
	_cleanup_free_ char *second = NULL;
	_cleanup_free_ char *third = NULL;
	_cleanup_close_ int fd = -1;
	_cleanup_close_ int other = -1;
	struct fault fault = { 0 };

	assert_int_equal(listener_open(NULL, port_path, &fd, &first, &fault), 0);
	assert_int_equal(strncmp(first, "https://127.0.0.1:", 18), 0);
	fd = close_fd(fd);
	assert_int_equal(listener_open(NULL, port_path, &fd, &second, &fault), 0);
	assert_string_equal(first, second);
	/* Taken by somebody else: another one. */
	assert_int_equal(listener_open(NULL, port_path, &other, &third, &fault), 0);
	assert_string_not_equal(first, third);
}

static void addresses_are_strict(void **state)
{
	static const char *const wrong[] = { "localhost",   "127.0.0.1:", "127.0.0.1:65536",
					     "127.0.0.1:x", "[::1",	  "[::1]x",
					     "[::1]:",	    "1.2.3.4.5",  "",
					     ":80" };
	_cleanup_free_ char *port_path = strf("%s/gate.port", (const char *)*state);

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_cleanup_close_ int fd = -1;
		_cleanup_free_ char *url = NULL;
		struct fault fault = { 0 };

		assert_int_equal(listener_open(wrong[i], port_path, &fd, &url, &fault), -EREMOTEIO);
		assert_int_equal(fault.code, FAULT_BAD_VALUE);
	}
}

static void any_address_is_reached_on_loopback(void **state)
{
	_cleanup_free_ char *port_path = strf("%s/gate.port", (const char *)*state);
	_cleanup_free_ char *url = NULL;
	_cleanup_close_ int fd = -1;
	struct fault fault = { 0 };

	assert_int_equal(listener_open("0.0.0.0", port_path, &fd, &url, &fault), 0);
	assert_int_equal(strncmp(url, "https://127.0.0.1:", 18), 0);
}

static void a_long_log_is_put_aside(void **state)
{
	_cleanup_free_ char *path = strf("%s/x.log", (const char *)*state);
	_cleanup_free_ char *old = strf("%s.1", path);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	struct stat st;

	assert_int_equal(write(fd, "first\n", 6), 6);
	service_trim_log(path);
	assert_int_equal(access(old, F_OK), -1);
	assert_int_equal(ftruncate(fd, SERVICE_LOG_MAX), 0);
	service_trim_log(path);
	assert_int_equal(stat(old, &st), 0);
	assert_int_equal(st.st_size, SERVICE_LOG_MAX);
	/* Whoever had it open goes on at its start. */
	assert_int_equal(write(fd, "second\n", 7), 7);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 7);
}

/* A child that holds STATE/run/dvmd.lock until it is told to end; `stubborn`: also then. */
static pid_t start_holder(const char *lock, bool stubborn)
{
	int ready[2], fd;
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGTERM, stubborn ? SIG_IGN : SIG_DFL);
		if (pid_lock(lock, &fd) < 0 || write(ready[1], "", 1) != 1) {
			_exit(1);
		}
		for (;;) {
			pause();
		}
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void processes_are_ended_by_their_locks(void **state)
{
	_cleanup_free_ char *run = strf("%s/run", (const char *)*state);
	_cleanup_free_ char *lock = strf("%s/dvmd.lock", run);
	int status;
	pid_t pid;

	assert_int_equal(dir_make(run, 0700), 0);
	assert_int_equal(leftover_count(*state, LEFTOVER_PROGRAMS), 0);
	pid = start_holder(lock, false);
	assert_int_equal(leftover_count(*state, LEFTOVER_RELAYS | LEFTOVER_GROUND), 0);
	assert_int_equal(leftover_count(*state, LEFTOVER_PROGRAMS), 1);
	assert_int_equal(leftover_stop(*state, LEFTOVER_PROGRAMS), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	assert_int_equal(leftover_stop(*state, LEFTOVER_PROGRAMS), 0);

	pid = start_holder(lock, true);
	assert_true(leftover_stop_owner(lock, 50 * USEC_PER_MSEC));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_port_is_kept, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(addresses_are_strict, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(any_address_is_reached_on_loopback, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(a_long_log_is_put_aside, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(processes_are_ended_by_their_locks, make_folder,
						remove_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
