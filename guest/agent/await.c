/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent before there is a session.
 *
 * Theory of operation: a D-VM that nobody speaks to is one whose memory the host is about to keep,
 * for others to start from. All of them share what it holds at that moment, so nothing that is to
 * be a secret may be made before: no host key, no SSH server. What costs time and is no secret is
 * done instead: the programs of a login run once, so that their files are in memory.
 *
 * Where the host's side opens, this may be any of the D-VMs that share that memory. The random
 * pool, the same in each, is mixed with what the processor gives; the process begins anew, so that
 * even its stack's canary is its own.
 */
#include "await.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "entropy.h"
#include "log.h"
#include "port.h"

#define PORT_RETRY_MS 20

extern char **environ;

static void run_once(char *const argv[])
{
	posix_spawn_file_actions_t actions;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	if (posix_spawn(&pid, argv[0], &actions, NULL, argv, environ) == 0) {
		waitpid(pid, NULL, 0);
	}
	posix_spawn_file_actions_destroy(&actions);
}

/* What a login runs, as far as it runs without one. Stops when somebody comes. */
static void warm(int fd)
{
	static char *const server[] = { "/usr/sbin/dropbear", "-V", NULL };
	static char *const shell[] = { "/bin/bash", "-lc", ":", NULL };
	static char *const *const programs[] = { server, shell };

	for (size_t i = 0; i < ARRAY_SIZE(programs) && !port_host_is_there(fd); i++) {
		run_once(programs[i]);
	}
}

/* While the host's side is closed the port polls as hung up all the time: wait for the edge. */
static int wait_open(int fd)
{
	_cleanup_close_ int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET };

	if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		return -errno;
	}
	while (!port_host_is_there(fd)) {
		if (epoll_wait(epoll_fd, &event, 1, -1) < 0 && errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

int await_host(int *ret_fd, bool *ret_waited)
{
	_cleanup_close_ int fd = -1;
	int r;

	while ((fd = port_find()) == -ENOENT) {
		usleep(PORT_RETRY_MS * 1000);
	}
	if (fd < 0) {
		return fd;
	}
	*ret_waited = !port_host_is_there(fd);
	if (*ret_waited) {
		log_info("waiting for a session");
		warm(fd);
		r = wait_open(fd);
		if (r < 0) {
			return r;
		}
		r = entropy_add_cpu();
		if (r < 0) {
			return r; /* a host key of others' random numbers is worse than none */
		}
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}
