/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams without a policy.
 *
 * Theory of operation: what passes through nobody's hands is fastest. A pipe is an open socket that
 * waits, its bytes where they are, for whoever shows the ticket for it: he gets the socket itself,
 * and what it says no longer comes by here. What is kept here is the right to end it. The
 * connection on which the ticket was shown stays open for as long as the pipe is in use; when the
 * user closes it, or has died, or dvm-hostd has put another in its place, the socket is shut down,
 * for all who hold it.
 */
/* #syscalls: getsockopt shutdown close */
#include "pipes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "control.h"
#include "fd_pass.h"
#include "map.h"
#include "poll_set.h"

#define PIPE_FILES 2
#define OTHER_FILES 256 /* of what is neither a user nor a pipe */

struct pipe {
	struct relay *relay;
	char name[RELAY_NAME_MAX + 1];
	int fd;
	struct poll_item user; /* his connection; its fd is -1 until he comes */
};

static struct pipe *pipe_find(const struct relay *relay, const char *name)
{
	return relay->pipes ? map_get(relay->pipes, name) : NULL;
}

static void pipe_free(struct pipe *p)
{
	(void)map_remove(p->relay->pipes, p->name);
	poll_item_off(&p->user);
	close_fd(p->user.fd);
	/* Others hold it, too. What was written before is still read. */
	(void)shutdown(p->fd, SHUT_RDWR);
	close_fd(p->fd);
	free(p);
}

static size_t pipes_max(const struct relay *relay)
{
	size_t files = relay->files_max / 2;

	files = files > OTHER_FILES ? files - OTHER_FILES : 0;
	return MIN((size_t)PIPES_MAX, files / PIPE_FILES);
}

static bool is_stream_socket(int fd)
{
	int type;
	socklen_t len = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

static void pipe_end(struct pipe *p)
{
	control_notify(p->relay->control, "pipe.ended", json_pack("{s:s}", "name", p->name));
	pipe_free(p);
}

/* He has nothing to say there: whatever comes ends it. */
static void on_user(struct poll_item *item, uint32_t events)
{
	pipe_end(container_of(item, struct pipe, user));
}

int pipe_open_take(struct relay *relay, const char *name, int fd)
{
	_cleanup_close_ int owned = fd;
	_cleanup_free_ struct pipe *p = NULL;
	struct pipe *old = pipe_find(relay, name);
	int err;

	if (!is_stream_socket(fd)) {
		return -EINVAL;
	}
	if (old) {
		pipe_free(old);
	}
	if (pipes_count(relay) >= pipes_max(relay)) {
		return -ENOSPC;
	}
	if (!relay->pipes) {
		relay->pipes = map_new();
	}
	p = calloc(1, sizeof(*p));
	if (!relay->pipes || !p) {
		return -ENOMEM;
	}
	p->relay = relay;
	strncpy(p->name, name, RELAY_NAME_MAX);
	poll_item_init(&p->user, relay->poll, -1, on_user);
	err = map_put(relay->pipes, p->name, p, NULL);
	if (err < 0) {
		return err;
	}
	p->fd = TAKE_FD(owned);
	TAKE_PTR(p);
	return 0;
}

bool pipe_waits(const struct relay *relay, const char *name)
{
	const struct pipe *p = pipe_find(relay, name);

	return p && p->user.fd < 0;
}

int pipe_join_take(struct relay *relay, const char *name, int fd)
{
	static const char line[] = "OK socket\n";
	_cleanup_close_ int owned = fd;
	struct pipe *p = pipe_find(relay, name);
	ssize_t n;
	int err;

	if (!p || p->user.fd >= 0) {
		return -ENOENT;
	}
	poll_item_init(&p->user, relay->poll, TAKE_FD(owned), on_user);
	err = poll_item_watch(&p->user, EPOLLIN | EPOLLRDHUP);
	if (err == 0) {
		/* A fresh socket's buffer takes a line whole. */
		n = fd_pass_send(p->user.fd, line, strlen(line), &p->fd, 1);
		err = n < 0 ? (int)n : n < (ssize_t)strlen(line) ? -EIO : 0;
	}
	if (err < 0) {
		pipe_end(p);
	}
	return err;
}

size_t pipes_count(const struct relay *relay)
{
	return relay->pipes ? map_size(relay->pipes) : 0;
}

void pipes_free(struct relay *relay)
{
	struct pipe *p;
	size_t it = 0;

	while (relay->pipes && (p = map_next(relay->pipes, &it, NULL))) {
		pipe_free(p);
	}
	relay->pipes = map_free(relay->pipes);
}
