/* SPDX-License-Identifier: Apache-2.0 */
/* The relay's room: what a program that was broken into could still do in it. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "sandbox.h"
#include "test.h"

#define NOBODY 65534

static void enter_or_exit(void)
{
	const struct sandbox_options options = {
		.uid = geteuid() == 0 ? NOBODY : geteuid(),
		.gid = getegid() == 0 ? NOBODY : getegid(),
		.files_max = 64,
		.file_bytes_max = 65536,
	};
	unsigned missing;

	if (sandbox_enter(&options, &missing) < 0) {
		_exit(100);
	}
}

/* Runs `attempt` inside; the status as waitpid() gives it. */
static int inside(int (*attempt)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		enter_or_exit();
		_exit(attempt());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int try_nothing(void)
{
	return 42;
}

static int try_open(void)
{
	return open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0;
}

static int try_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0;
}

static int try_inet_pair(void)
{
	int fds[2];

	return socketpair(AF_INET, SOCK_STREAM, 0, fds);
}

static int try_exec(void)
{
	char *argv[] = { "true", NULL };

	return execv("/bin/true", argv);
}

static int try_fork(void)
{
	return fork() < 0;
}

static int try_ptrace(void)
{
	return (int)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static int try_kill(void)
{
	return kill(getppid(), 0);
}

static int try_unshare(void)
{
	return unshare(CLONE_NEWUSER);
}

static int try_exec_memory(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	       MAP_FAILED;
}

static int try_make_exec(void)
{
	static uint8_t page[8192] __attribute__((aligned(4096)));

	return mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
}

static int try_io_uring(void)
{
	return (int)syscall(SYS_io_uring_setup, 1, NULL);
}

static int use_memory(void)
{
	char *p = malloc((size_t)4 * 1024 * 1024);

	if (!p) {
		return 1;
	}
	memset(p, 1, (size_t)4 * 1024 * 1024);
	p = realloc(p, (size_t)8 * 1024 * 1024);
	free(p);
	return 42;
}

static int use_pair(void)
{
	int fds[2];

	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0 &&
			       write(fds[0], "x", 1) == 1
		       ? 42
		       : 1;
}

static void forbidden_calls_kill(void **state)
{
	int (*const attempts[])(void) = {
		try_open, try_socket,  try_inet_pair,	try_exec,      try_fork,     try_ptrace,
		try_kill, try_unshare, try_exec_memory, try_make_exec, try_io_uring,
	};

	(void)state;
	if (SANITIZED) {
		return; /* only has the calls logged */
	}
	for (size_t i = 0; i < ARRAY_SIZE(attempts); i++) {
		int status = inside(attempts[i]);

		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS) {
			fail_msg("attempt %zu ended with status %#x", i, (unsigned)status);
		}
	}
}

static void needed_calls_work(void **state)
{
	int (*const uses[])(void) = { try_nothing, use_memory, use_pair };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(uses); i++) {
		int status = inside(uses[i]);

		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 42);
	}
}

/* What /proc/PID/status says of the line `key`. */
static unsigned long long status_value(pid_t pid, const char *key, int base)
{
	_cleanup_fclose_ FILE *f = NULL;
	char path[64], line[256];
	size_t len = strlen(key);

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, len) == 0 && line[len] == ':') {
			return strtoull(line + len + 1, NULL, base);
		}
	}
	fail_msg("no %s", key);
	return 0;
}

static void kernel_says_so(void **state)
{
	int up[2], down[2], status;
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe2(up, O_CLOEXEC), 0);
	assert_int_equal(pipe2(down, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(down[1]);
		enter_or_exit();
		_exit(write(up[1], "x", 1) == 1 && read(down[0], &byte, 1) == 0 ? 0 : 1);
	}
	assert_int_equal(read(up[0], &byte, 1), 1);
	assert_int_equal(status_value(pid, "Seccomp", 10), 2);
	assert_int_equal(status_value(pid, "NoNewPrivs", 10), 1);
	assert_int_equal(status_value(pid, "CapBnd", 16), 0);
	assert_int_equal(status_value(pid, "CapPrm", 16), 0);
	assert_int_equal(status_value(pid, "CapEff", 16), 0);
	assert_int_equal(status_value(pid, "CapInh", 16), 0);
	assert_int_equal(status_value(pid, "CapAmb", 16), 0);
	if (geteuid() == 0) {
		assert_int_equal(status_value(pid, "Uid", 10), NOBODY);
		assert_int_equal(status_value(pid, "Gid", 10), NOBODY);
	}
	close(down[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(up[0]);
	close(up[1]);
	close(down[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(needed_calls_work),
		cmocka_unit_test(forbidden_calls_kill),
		cmocka_unit_test(kernel_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
