/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Failpoints: each mode, from the environment and from the file. The environment is read once a
 * process, so each case runs in a child.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "failpoint.h"
#include "file.h"
#include "test.h"

/* Runs `passes` in a child with that environment; its wait status. */
static int run(const char *env, const char *file, int (*passes)(void))
{
	pid_t pid;
	int status;

	pid = fork();
	if (pid == 0) {
		if (env) {
			setenv("DVM_FAILPOINT", env, 1);
		}
		if (file) {
			setenv("DVM_FAILPOINT_FILE", file, 1);
		}
		_exit(passes());
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* A child's exit status says which line was wrong, 0 if none. */
#define check(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			return __LINE__ % 250 + 1;                                                 \
		}                                                                                  \
	} while (0)

static int nothing_set(void)
{
	check(failpoint("a") == 0);
	return 0;
}

static int errors(void)
{
	check(failpoint("a") == -ENOSPC);
	check(failpoint("a") == -ENOSPC);
	check(failpoint("b.c") == -EIO);
	check(failpoint("once") == -EBUSY);
	check(failpoint("once") == 0);
	check(failpoint("two") == -EAGAIN);
	check(failpoint("b") == 0);
	check(failpoint("b.c.d") == 0);
	return 0;
}

static int sleeps(void)
{
	usec_t start = clock_monotonic();

	check(failpoint("a") == 0);
	check(clock_monotonic() - start >= 30 * USEC_PER_MSEC);
	return 0;
}

static void from_the_environment(void **state)
{
	assert_int_equal(run(NULL, NULL, nothing_set), 0);
	assert_int_equal(run("", NULL, nothing_set), 0);
	assert_int_equal(run("a=error:ENOSPC;b.c=error;once=once-error:EBUSY;"
			     ";two=error:EAGAIN",
			     NULL, errors),
			 0);
	assert_int_equal(run("a=sleep:30", NULL, sleeps), 0);
}

static void kills(void **state)
{
	int status = run("a=kill", NULL, nothing_set);

	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void aborts_at_typing_errors(void **state)
{
	static const char *const lists[] = { "a=what", "a=", "a=error:EWHAT", "a=sleep:x",
					     "a=sleep" };

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		int status = run(lists[i], NULL, nothing_set);

		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
}

static char path[] = "/tmp/dvm-test-failpoint-XXXXXX";

static int arm(const char *text)
{
	return file_write_atomic(path, text, strlen(text), 0600);
}

static int from_file_passes(void)
{
	check(failpoint("a") == 0);
	check(arm("a=error:EBUSY\nb=error\n") == 0);
	check(failpoint("a") == -EBUSY);
	check(failpoint("b") == -EIO);
	check(arm("c=once-error:ENOMEM\n") == 0);
	check(failpoint("a") == 0);
	check(access(path, F_OK) == 0);
	check(failpoint("c") == -ENOMEM);
	check(failpoint("c") == 0);
	check(access(path, F_OK) < 0);
	return 0;
}

static void from_the_file(void **state)
{
	int status;

	assert_int_equal(run(NULL, path, from_file_passes), 0);
	assert_int_equal(arm("a=once-kill"), 0);
	status = run(NULL, path, nothing_set);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(run(NULL, path, nothing_set), 0); /* the program started anew lives */
}

static int path_make(void **state)
{
	int fd = mkstemp(path);

	return fd < 0 ? -1 : close(fd);
}

static int path_remove(void **state)
{
	unlink(path);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(from_the_environment),
		cmocka_unit_test(kills),
		cmocka_unit_test(aborts_at_typing_errors),
		cmocka_unit_test(from_the_file),
	};

	unsetenv("DVM_FAILPOINT");
	unsetenv("DVM_FAILPOINT_FILE");
	return cmocka_run_group_tests(tests, path_make, path_remove);
}
