/* SPDX-License-Identifier: Apache-2.0 */
/* The way to dvm-hostd. See control.h. */
/* #syscalls: accept4 getsockopt close epoll_ctl */
#include "control.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "cleanup.h"
#include "clock.h"
#include "file.h"
#include "log.h"
#include "methods.h"
#include "unix.h"

#define ALONE_USEC (600 * USEC_PER_SEC)

struct control {
	struct relay *relay;
	int fd;
	uid_t uid;
	sd_event_source *io, *alone;
	struct rpc_peer *peer;
};

static void alone_since_now(struct control *c)
{
	if (sd_event_source_set_time_relative(c->alone, ALONE_USEC) < 0 ||
	    sd_event_source_set_enabled(c->alone, SD_EVENT_ONESHOT) < 0) {
		log_warn("cannot set the timer that ends an abandoned relay, ignoring");
	}
}

static void on_call(struct rpc_peer *p, struct rpc_request *r, const char *method, json_t *params,
		    int *fds, size_t n_fds, void *user)
{
	struct control *c = user;

	methods_call(c->relay, r, method, params, fds, n_fds);
}

static void on_notice(struct rpc_peer *p, const char *method, json_t *params, void *user)
{
}

static void on_closed(struct rpc_peer *p, void *user)
{
	struct control *c = user;

	c->peer = rpc_peer_free(c->peer);
	alone_since_now(c);
}

static const struct rpc_peer_ops peer_ops = {
	.call = on_call,
	.notice = on_notice,
	.closed = on_closed,
};

static int connection_take(struct control *c, int fd)
{
	_cleanup_close_ int owned = fd;
	uid_t uid;
	pid_t pid;
	int err = unix_peer(fd, &pid, &uid);

	if (err < 0) {
		return err;
	}
	if (uid != c->uid) {
		return -EPERM;
	}
	c->peer = rpc_peer_free(c->peer);
	return rpc_peer_new_take(c->relay->event, TAKE_FD(owned), &peer_ops, c, &c->peer);
}

static int on_listen(sd_event_source *source, int fd, uint32_t revents, void *user)
{
	struct control *c = user;
	int conn, err = unix_accept(fd, &conn);

	if (err == 0) {
		err = connection_take(c, conn);
	}
	if (err < 0 && err != -EAGAIN) {
		log_warn("control connection refused (%d), ignoring", -err);
	}
	if (c->peer) {
		(void)sd_event_source_set_enabled(c->alone, SD_EVENT_OFF);
	} else {
		alone_since_now(c);
	}
	return 0;
}

static int on_alone(sd_event_source *source, uint64_t now, void *user)
{
	struct control *c = user;

	log_info("nobody is in control any more: end");
	return sd_event_exit(c->relay->event, 0);
}

int control_new_take(struct relay *relay, int fd, uid_t uid, struct control **ret)
{
	struct control *c = calloc(1, sizeof(*c));
	int err;

	if (!c) {
		close_fd(fd);
		return -ENOMEM;
	}
	c->relay = relay;
	c->fd = fd;
	c->uid = uid;
	err = fd_set_nonblock(fd);
	if (err == 0) {
		err = sd_event_add_io(relay->event, &c->io, fd, EPOLLIN, on_listen, c);
	}
	if (err >= 0) {
		err = sd_event_add_time_relative(relay->event, &c->alone, CLOCK_MONOTONIC,
						 ALONE_USEC, 0, on_alone, c);
	}
	if (err < 0) {
		control_free(c);
		return err;
	}
	*ret = c;
	return 0;
}

struct control *control_free(struct control *c)
{
	if (!c) {
		return NULL;
	}
	rpc_peer_free(c->peer);
	sd_event_source_disable_unref(c->alone);
	sd_event_source_disable_unref(c->io);
	close_fd(c->fd);
	free(c);
	return NULL;
}

void control_notify(struct control *c, const char *method, json_t *params)
{
	if (!c->peer) {
		json_decref(params);
		return;
	}
	if (rpc_peer_notify(c->peer, method, params) < 0) {
		log_warn("notice %s not sent, ignoring", method);
	}
}

int control_call(struct control *c, const char *method, json_t *params, usec_t timeout,
		 rpc_answer_fn answer, void *user)
{
	if (!c->peer) {
		json_decref(params);
		return -ENOTCONN;
	}
	return rpc_peer_call(c->peer, method, params, NULL, 0, timeout, answer, user);
}
