/* SPDX-License-Identifier: Apache-2.0 */
/* The targets' displays on the loopback. See displays.h. */
#include "displays.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent.h"
#include "bridge.h"
#include "cleanup.h"
#include "log.h"
#include "parse.h"

#define VIEWERS_MAX 16

static int listener_open(unsigned port, int *ret)
{
	const struct sockaddr_in address = { .sin_family = AF_INET,
					     .sin_port = htons((uint16_t)port),
					     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1;

	if (fd < 0) {
		return -errno;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, VIEWERS_MAX) < 0) {
		return -errno;
	}
	*ret = TAKE_FD(fd);
	return 0;
}

/* Without a relay, or a target of that number, there is nothing to be seen: closed again. */
static void viewer_new_take(struct displays *d, size_t number, int fd)
{
	const char *name = identity_target(&d->agent->identity, number);
	_cleanup_free_ char *service = name ? strf("vnc/%s", name) : NULL;
	struct tunnel_link *link = d->agent->port.link;
	struct bridge *b = service && tunnel_link_is_up(link) ? calloc(1, sizeof(*b)) : NULL;
	const int on = 1;

	if (!b || d->n_viewers >= VIEWERS_MAX) {
		free(b);
		close_fd(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bridge_open_take(b, &d->agent->loop, fd, link, service) < 0) {
		free(b);
		return;
	}
	list_add_tail(&d->viewers, &b->list);
	d->n_viewers++;
}

static void listener_ready(struct source *s, uint32_t events)
{
	struct agent *a = container_of(s->loop, struct agent, loop);
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0) {
		viewer_new_take(&a->displays, (size_t)(s - a->displays.listeners), fd);
	}
}

void displays_scan(struct displays *d)
{
	/* On a machine that is not ours its ports are not either. */
	if (!d->agent->options.apply) {
		return;
	}
	for (size_t i = 0; i < CONFIG_TARGETS_MAX; i++) {
		struct source *s = &d->listeners[i];
		bool wanted = identity_target(&d->agent->identity, i);
		int fd = -1, r;

		if (!wanted && s->fd >= 0) {
			source_close(s);
		} else if (wanted && s->fd < 0) {
			r = listener_open(DISPLAYS_PORT + (unsigned)i, &fd);
			if (r < 0) {
				log_warn("port %u: %s, ignoring", DISPLAYS_PORT + (unsigned)i,
					 strerror(-r));
				continue;
			}
			source_init_take(s, &d->agent->loop, fd, listener_ready);
		}
	}
}

static void viewer_free(struct displays *d, struct bridge *b)
{
	list_del(&b->list);
	d->n_viewers--;
	bridge_fini(b);
	free(b);
}

void displays_prepare(struct displays *d)
{
	struct bridge *b, *tmp;

	list_for_each_safe (b, tmp, &d->viewers, list) {
		if (b->dead) {
			viewer_free(d, b);
		} else {
			bridge_prepare(b);
		}
	}
	for (size_t i = 0; i < CONFIG_TARGETS_MAX; i++) {
		source_watch(&d->listeners[i], d->n_viewers < VIEWERS_MAX ? EPOLLIN : 0);
	}
}

void displays_init(struct displays *d, struct agent *a)
{
	*d = (struct displays){ .agent = a };
	list_init(&d->viewers);
	for (size_t i = 0; i < CONFIG_TARGETS_MAX; i++) {
		d->listeners[i].fd = -1;
	}
}

void displays_fini(struct displays *d)
{
	struct bridge *b, *tmp;

	list_for_each_safe (b, tmp, &d->viewers, list) {
		viewer_free(d, b);
	}
	for (size_t i = 0; i < CONFIG_TARGETS_MAX; i++) {
		source_close(&d->listeners[i]);
	}
}
