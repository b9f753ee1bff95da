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
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "parse.h"
#include "unix.h"

/* The first of the fds that the process finds. */
#define FIRST_FD 3
#define FDS_MAX 3
/* Copies made above those first, so that no dup2() overwrites another's source. */
#define SPARE_FD 10
#define LISTEN_PID "LISTEN_PID="

/* What is executed. */
struct image {
	char *const *argv, *const *envp;
	char *pid_digits; /* in envp, NULL: none: where the process writes its own number,
			     at most 10 digits */
	int fds[FDS_MAX];
	size_t n_fds;
	int log_fd, null_fd;
};

/* snprintf() is none of the functions that may run here. */
static void pid_write(char *digits)
{
	pid_t pid = getpid(), unit = 1;

	while (pid / unit >= 10) {
		unit *= 10;
	}
	for (; unit > 0; unit /= 10) {
		*digits++ = (char)('0' + pid / unit % 10);
	}
	*digits = 0;
}

static void image_execute(const struct image *image)
{
	int copies[FDS_MAX], log = fcntl(image->log_fd, F_DUPFD_CLOEXEC, SPARE_FD);
	int null = fcntl(image->null_fd, F_DUPFD_CLOEXEC, SPARE_FD);
	sigset_t none;

	for (size_t i = 0; i < image->n_fds; i++) {
		copies[i] = fcntl(image->fds[i], F_DUPFD_CLOEXEC, SPARE_FD);
	}
	if (log < 0 || null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(log, 2) < 0) {
		return;
	}
	for (size_t i = 0; i < image->n_fds; i++) {
		if (copies[i] < 0 || dup2(copies[i], FIRST_FD + (int)i) < 0) {
			return;
		}
	}
	if (image->pid_digits) {
		pid_write(image->pid_digits);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	execve(image->argv[0], image->argv, image->envp);
}

static int spawn(const struct image *image)
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
			image_execute(image);
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

/* The files that any of them has; closed by the caller. */
struct files {
	int control_fd, pid_fd, log_fd, null_fd;
};

static void files_close(struct files *f)
{
	close_fd(f->control_fd);
	close_fd(f->pid_fd);
	close_fd(f->log_fd);
	close_fd(f->null_fd);
}

static int files_open(const struct relay_start *start, struct files *ret)
{
	_cleanup_free_ char *control_path = strf("%s/control.sock", start->folder);
	_cleanup_free_ char *pid_path = strf("%s/pid", start->folder);

	if (!control_path || !pid_path) {
		return -ENOMEM;
	}
	ret->log_fd = open(start->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	ret->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	ret->pid_fd = open(pid_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (ret->log_fd < 0 || ret->null_fd < 0 || ret->pid_fd < 0) {
		return -errno;
	}
	return unix_listen(control_path, 0600, &ret->control_fd);
}

int relay_process_start(const struct relay_start *start)
{
	_cleanup_(files_close) struct files files = { -1, -1, -1, -1 };
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
	int r = files_open(start, &files);

	if (r < 0) {
		return r;
	}
	snprintf(uid, sizeof(uid), "%u", start->uid);
	return spawn(&(struct image){
		.argv = argv,
		.envp = environ,
		.fds = { files.control_fd, files.pid_fd },
		.n_fds = 2,
		.log_fd = files.log_fd,
		.null_fd = files.null_fd,
	});
}

static const char *nbdkit_find(void)
{
	static const char *const paths[] = { "/usr/bin/nbdkit", "/usr/sbin/nbdkit",
					     "/usr/local/bin/nbdkit", "/usr/local/sbin/nbdkit" };

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		if (access(paths[i], X_OK) == 0) {
			return paths[i];
		}
	}
	return NULL;
}

static int nbd_listen(const struct relay_start *start, uid_t client, int *ret_fd)
{
	_cleanup_free_ char *path = strf("%s/nbd.sock", start->folder);
	_cleanup_close_ int fd = -1;
	int r = path ? unix_listen(path, 0600, &fd) : -ENOMEM;

	if (r == 0 && client && chown(path, client, client) < 0) {
		r = -errno;
	}
	if (r == 0) {
		*ret_fd = TAKE_FD(fd);
	}
	return r;
}

int memory_process_start(const struct relay_start *start, uid_t client)
{
	_cleanup_(files_close) struct files files = { -1, -1, -1, -1 };
	_cleanup_close_ int nbd_fd = -1;
	_cleanup_free_ char *name = strf("name=%s", start->name);
	char uid[32], listen_pid[] = LISTEN_PID "0000000000";
	const char *nbdkit = nbdkit_find();
	/* One thread a connection: with several, nbdkit 1.32 fails an assertion when a client goes
	 * away while it is answered. */
	char *argv[] = {
		(char *)nbdkit, "-f",	      "-r", "--threads", "1", (char *)start->program, name,
		"control=4",	"pid-file=5", uid,  NULL,
	};
	/* It is to know nothing else of us. */
	char *envp[] = { "LISTEN_FDS=1", listen_pid, "PATH=/usr/bin:/bin", NULL };
	int r;

	if (!name || !nbdkit) {
		return nbdkit ? -ENOMEM : -ENOENT;
	}
	r = files_open(start, &files);
	if (r == 0) {
		r = nbd_listen(start, client, &nbd_fd);
	}
	if (r < 0) {
		return r;
	}
	snprintf(uid, sizeof(uid), "run-as=%u", start->uid);
	return spawn(&(struct image){
		.argv = argv,
		.envp = envp,
		.pid_digits = listen_pid + strlen(LISTEN_PID),
		.fds = { nbd_fd, files.control_fd, files.pid_fd },
		.n_fds = 3,
		.log_fd = files.log_fd,
		.null_fd = files.null_fd,
	});
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
