/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams without a policy.
 *
 * Theory of operation: a pipe waits for its user with nothing but an open socket, whose bytes stay
 * where they are; joined, it is a pipe_pair, until one of its ends or dvm-hostd ends it.
 */
/* #syscalls: getsockopt close */
#include "pipes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "control.h"
#include "map.h"
#include "pipe_pair.h"

/* Two sockets, and two kernel pipes while both ways hold something. */
#define PIPE_FILES 6
#define OTHER_FILES 256 /* of what is neither a user nor a pipe */

struct pipe {
	struct relay *relay;
	char name[RELAY_NAME_MAX + 1];
	int fd;			/* until it is joined */
	struct pipe_pair *pair; /* from then on */
};

static struct pipe *pipe_find(const struct relay *relay, const char *name)
{
	return relay->pipes ? map_get(relay->pipes, name) : NULL;
}

static void pipe_free(struct pipe *p)
{
	(void)map_remove(p->relay->pipes, p->name);
	pipe_pair_free(p->pair);
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

static int pipes_start(struct relay *relay)
{
	if (!relay->pipes) {
		relay->pipes = map_new();
	}
	if (!relay->pipes) {
		return -ENOMEM;
	}
	return relay->pipe_set ? 0 : pipe_set_new(relay->poll, &relay->pipe_set);
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
	err = pipes_start(relay);
	if (err < 0) {
		return err;
	}
	p = calloc(1, sizeof(*p));
	if (!p) {
		return -ENOMEM;
	}
	p->relay = relay;
	strncpy(p->name, name, RELAY_NAME_MAX);
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

	return p && !p->pair;
}

static void on_ended(void *user)
{
	struct pipe *p = user;

	control_notify(p->relay->control, "pipe.ended", json_pack("{s:s}", "name", p->name));
	pipe_free(p);
}

int pipe_join_take(struct relay *relay, const char *name, int fd)
{
	_cleanup_close_ int owned = fd;
	struct pipe *p = pipe_find(relay, name);
	int err;

	if (!p || p->pair) {
		return -ENOENT;
	}
	err = pipe_pair_new_take(relay->pipe_set, TAKE_FD(owned), TAKE_FD(p->fd), on_ended, p,
				 &p->pair);
	if (err < 0) {
		on_ended(p);
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
	relay->pipe_set = pipe_set_free(relay->pipe_set);
}
