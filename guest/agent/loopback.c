/* SPDX-License-Identifier: Apache-2.0 */
/* A service of the targets on the loopback. See loopback.h. */
#include "loopback.h"

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

#define CONNS_MAX 16

static const struct {
	const char *name;
	unsigned port; /* of the first target */
} services[] = {
	[LOOPBACK_VNC] = { "vnc", 5900 },
	[LOOPBACK_GDB] = { "gdb", 1234 },
};
static_assert(ARRAY_SIZE(services) == _LOOPBACK_MAX, "a port for each");

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
	    listen(fd, CONNS_MAX) < 0) {
		return -errno;
	}
	*ret = TAKE_FD(fd);
	return 0;
}

/* Without a relay, or a target of that number, there is nothing to be had: closed again. */
static void conn_new_take(struct loopback *d, size_t number, int fd)
{
	const char *name = identity_target(&d->agent->identity, number);
	_cleanup_free_ char *service = name ? strf("%s/%s", services[d->service].name, name) : NULL;
	struct tunnel_link *link = d->agent->port.link;
	struct bridge *b = service && tunnel_link_is_up(link) ? calloc(1, sizeof(*b)) : NULL;
	const int on = 1;

	if (!b || d->n_conns >= CONNS_MAX) {
		free(b);
		close_fd(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bridge_open_take(b, &d->agent->loop, fd, link, service) < 0) {
		free(b);
		return;
	}
	list_add_tail(&d->conns, &b->list);
	d->n_conns++;
}

static void listener_ready(struct source *s, uint32_t events)
{
	struct agent *a = container_of(s->loop, struct agent, loop);
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	for (size_t i = 0; i < _LOOPBACK_MAX && fd >= 0; i++) {
		struct loopback *d = &a->loopback[i];

		if (s >= d->listeners && s < d->listeners + CONFIG_TARGETS_MAX) {
			conn_new_take(d, (size_t)(s - d->listeners), fd);
			return;
		}
	}
}

void loopback_scan(struct loopback *d)
{
	/* On a machine that is not ours its ports are not either. */
	if (!d->agent->options.apply) {
		return;
	}
	for (size_t i = 0; i < CONFIG_TARGETS_MAX; i++) {
		struct source *s = &d->listeners[i];
		bool wanted = identity_target(&d->agent->identity, i);
		unsigned port = services[d->service].port + (unsigned)i;
		int fd = -1, r;

		if (!wanted && s->fd >= 0) {
			source_close(s);
		} else if (wanted && s->fd < 0) {
			r = listener_open(port, &fd);
			if (r < 0) {
				log_warn("port %u: %s, ignoring", port, strerror(-r));
				continue;
			}
			source_init_take(s, &d->agent->loop, fd, listener_ready);
		}
	}
}

static void conn_free(struct loopback *d, struct bridge *b)
{
	list_del(&b->list);
	d->n_conns--;
	bridge_fini(b);
	free(b);
}

void loopback_prepare(struct loopback *d)
{
	struct bridge *b, *tmp;

	list_for_each_safe (b, tmp, &d->conns, list) {
		if (b->dead) {
			conn_free(d, b);
		} else {
			bridge_prepare(b);
		}
	}
	for (size_t i = 0; i < CONFIG_TARGETS_MAX; i++) {
		source_watch(&d->listeners[i], d->n_conns < CONNS_MAX ? EPOLLIN : 0);
	}
}

void loopback_init(struct loopback *d, struct agent *a, enum loopback_service service)
{
	*d = (struct loopback){ .agent = a, .service = service };
	list_init(&d->conns);
	for (size_t i = 0; i < CONFIG_TARGETS_MAX; i++) {
		d->listeners[i].fd = -1;
	}
}

void loopback_fini(struct loopback *d)
{
	struct bridge *b, *tmp;

	list_for_each_safe (b, tmp, &d->conns, list) {
		conn_free(d, b);
	}
	for (size_t i = 0; i < CONFIG_TARGETS_MAX; i++) {
		source_close(&d->listeners[i]);
	}
}
