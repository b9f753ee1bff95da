/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts a relay as a process that outlives us, and ends one that does not listen to reason.
 *
 * The relay is forked twice and gets a session of its own, so that neither a signal to our group
 * nor our end reaches it. Between fork and exec only async-signal-safe functions run: other threads
 * may hold any lock.
 */
#include "relay_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "parse.h"
#include "unix.h"

/* Where the relay finds its fds. */
#define CONTROL_FD 3
#define PID_FD 4
/* Copies made above those first, so that neither dup2() overwrites the other's source. */
#define SPARE_FD 10

static void exec_relay(char *const argv[], int control_fd, int pid_fd, int log_fd, int null_fd)
{
	sigset_t none;
	int control = fcntl(control_fd, F_DUPFD_CLOEXEC, SPARE_FD);
	int pid = fcntl(pid_fd, F_DUPFD_CLOEXEC, SPARE_FD);
	int log = fcntl(log_fd, F_DUPFD_CLOEXEC, SPARE_FD);
	int null = fcntl(null_fd, F_DUPFD_CLOEXEC, SPARE_FD);

	if (control < 0 || pid < 0 || log < 0 || null < 0 || dup2(null, 0) < 0 ||
	    dup2(null, 1) < 0 || dup2(log, 2) < 0 || dup2(control, CONTROL_FD) < 0 ||
	    dup2(pid, PID_FD) < 0) {
		return;
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	execv(argv[0], argv);
}

static int spawn(char *const argv[], int control_fd, int pid_fd, int log_fd, int null_fd)
{
	int status;
	pid_t pid = fork();

	if (pid < 0) {
		return -errno;
	}
	if (pid == 0) {
		setsid();
		pid = fork();
		if (pid == 0) {
			exec_relay(argv, control_fd, pid_fd, log_fd, null_fd);
		}
		_exit(pid < 0 || pid == 0 ? 127 : 0);
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR) {
			return -errno;
		}
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EAGAIN;
}

int relay_process_start(const struct relay_start *start)
{
	_cleanup_free_ char *control_path = strf("%s/control.sock", start->folder);
	_cleanup_free_ char *pid_path = strf("%s/pid", start->folder);
	_cleanup_close_ int control_fd = -1, pid_fd = -1, log_fd = -1, null_fd = -1;
	char uid[16];
	char *argv[] = {
		(char *)start->program,
		"--name",
		(char *)start->name,
		"--control",
		"3",
		"--run-as",
		uid,
		"--pid-file",
		"4",
		NULL,
	};
	int r;

	if (!control_path || !pid_path) {
		return -ENOMEM;
	}
	snprintf(uid, sizeof(uid), "%u", start->uid);
	log_fd = open(start->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_fd = open(pid_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (log_fd < 0 || null_fd < 0 || pid_fd < 0) {
		return -errno;
	}
	r = unix_listen(control_path, 0600, &control_fd);
	if (r < 0) {
		return r;
	}
	return spawn(argv, control_fd, pid_fd, log_fd, null_fd);
}

void relay_process_kill(const char *folder)
{
	_cleanup_free_ char *path = strf("%s/pid", folder);
	_cleanup_close_ int pidfd = -1;
	struct pollfd poller;
	pid_t pid = path ? pid_lock_owner(path) : 0;

	if (pid <= 0) {
		return;
	}
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	/* The number may have gone to another process between the two calls. */
	if (pidfd < 0 || pid_lock_owner(path) != pid) {
		return;
	}
	syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	poller = (struct pollfd){ .fd = pidfd, .events = POLLIN };
	poll(&poller, 1, 2000);
}
