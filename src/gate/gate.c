/* SPDX-License-Identifier: Apache-2.0 */
/* The gate: accepts connections, counts them, and ends in good manner. */
#include "gate.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "clock.h"
#include "conn.h"
#include "log.h"
#include "unix.h"

#define ACCEPT_PER_TURN 64
#define PAUSE_TIME (100 * USEC_PER_MSEC) /* when there are no fds left */
#define DRAIN_TIME (1 * USEC_PER_SEC)

DEFINE_CLEANUP(struct gate *, gate_free);

/* Who counts as one: an IPv4 address, or the network of an IPv6 address. */
static void address_key(int fd, uint8_t key[ADDRESS_KEY_LEN])
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a = { 0 };
	socklen_t len = sizeof(a);

	memset(key, 0, ADDRESS_KEY_LEN);
	if (getpeername(fd, &a.any, &len) < 0) {
		return;
	}
	if (a.any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a.in6.sin6_addr)) {
		memcpy(key + 12, a.in6.sin6_addr.s6_addr + 12, 4);
	} else if (a.any.sa_family == AF_INET6) {
		memcpy(key, a.in6.sin6_addr.s6_addr, 8);
	} else if (a.any.sa_family == AF_INET) {
		memcpy(key + 12, &a.in.sin_addr, 4);
	}
}

static size_t count_of(const struct gate *g, const uint8_t key[ADDRESS_KEY_LEN])
{
	const struct conn *c;
	size_t n = 0;

	list_for_each (c, &g->conns, link) {
		n += memcmp(c->address, key, ADDRESS_KEY_LEN) == 0;
	}
	return n;
}

/* A peer whose machine is gone is noticed in some two minutes, also where nothing is sent. */
static void set_options(int fd)
{
	const int on = 1, idle_s = 60, interval_s = 15, count = 4;

	/* Best effort: on a unix socket none of them exists. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

static void admit(struct gate *g, int fd)
{
	uint8_t key[ADDRESS_KEY_LEN];
	struct conn *c;

	address_key(fd, key);
	if (g->n_conns >= g->config->connections || count_of(g, key) >= g->config->per_address) {
		log_debug("too many connections, one turned away");
		close_fd(fd);
		return;
	}
	set_options(fd);
	if (conn_new_take(g, fd, key, &c) == 0) {
		list_add_tail(&g->conns, &c->link);
		g->n_conns++;
	}
}

static void listeners_enable(struct gate *g, bool on)
{
	for (size_t i = 0; i < g->n_listeners; i++) {
		sd_event_source_set_enabled(g->listeners[i], on ? SD_EVENT_ON : SD_EVENT_OFF);
	}
}

static int on_listener(sd_event_source *source, int fd, uint32_t revents, void *user)
{
	struct gate *g = user;

	for (unsigned i = 0; i < ACCEPT_PER_TURN; i++) {
		int conn_fd, r = unix_accept(fd, &conn_fd);

		if (r == 0) {
			admit(g, conn_fd);
			continue;
		}
		if (r == -EMFILE || r == -ENFILE || r == -ENOMEM || r == -ENOBUFS) {
			log_warn("no room for connections: %s, pausing", strerror(-r));
			listeners_enable(g, false);
			sd_event_source_set_time(g->pause, clock_monotonic() + PAUSE_TIME);
			sd_event_source_set_enabled(g->pause, SD_EVENT_ONESHOT);
		}
		break;
	}
	return 0;
}

static int on_pause_over(sd_event_source *source, uint64_t at, void *user)
{
	struct gate *g = user;

	if (!g->draining) {
		listeners_enable(g, true);
	}
	return 0;
}

static void end_if_empty(struct gate *g)
{
	if (g->draining && g->n_conns == 0) {
		sd_event_exit(g->event, 0);
	}
}

static int on_reap(sd_event_source *source, void *user)
{
	struct gate *g = user;

	while (!list_empty(&g->dead)) {
		conn_free(container_of(g->dead.next, struct conn, link));
	}
	end_if_empty(g);
	return 0;
}

void gate_retire(struct gate *g, struct conn *c)
{
	list_del(&c->link);
	list_add_tail(&g->dead, &c->link);
	g->n_conns--;
	sd_event_source_set_enabled(g->reaper, SD_EVENT_ONESHOT);
}

static int on_drain_over(sd_event_source *source, uint64_t at, void *user)
{
	struct gate *g = user;

	sd_event_exit(g->event, 0);
	return 0;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *si, void *user)
{
	struct gate *g = user;
	struct conn *c, *tmp;

	if (g->draining) {
		sd_event_exit(g->event, 0);
		return 0;
	}
	g->draining = true;
	listeners_enable(g, false);
	list_for_each_safe (c, tmp, &g->conns, link) {
		conn_drain(c);
	}
	sd_event_source_set_time(g->drain, clock_monotonic() + DRAIN_TIME);
	sd_event_source_set_enabled(g->drain, SD_EVENT_ONESHOT);
	end_if_empty(g);
	return 0;
}

static int add_timer(struct gate *g, sd_event_source **ret, sd_event_time_handler_t fn)
{
	int r = sd_event_add_time(g->event, ret, CLOCK_MONOTONIC, 0, 0, fn, g);

	return r < 0 ? r : sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

static int add_sources(struct gate *g)
{
	static const int signals[] = { SIGTERM, SIGINT };
	int r;

	r = sd_event_add_defer(g->event, &g->reaper, on_reap, g);
	if (r >= 0) {
		r = add_timer(g, &g->pause, on_pause_over);
	}
	if (r >= 0) {
		r = add_timer(g, &g->drain, on_drain_over);
	}
	for (size_t i = 0; i < ARRAY_SIZE(signals) && r >= 0; i++) {
		r = sd_event_add_signal(g->event, &g->signals[i], signals[i], on_signal, g);
	}
	return r;
}

int gate_new(sd_event *event, const struct gate_config *config, struct tls_server *tls,
	     const int *listen_fds, size_t n_listen_fds, struct gate **ret)
{
	_cleanup_(gate_freep) struct gate *g = calloc(1, sizeof(*g));
	int r;

	assert(n_listen_fds <= GATE_LISTENERS_MAX);
	if (!g) {
		return -ENOMEM;
	}
	g->event = event;
	g->config = config;
	g->tls = tls;
	list_init(&g->conns);
	list_init(&g->dead);
	r = add_sources(g);
	for (size_t i = 0; i < n_listen_fds && r >= 0; i++) {
		r = sd_event_add_io(event, &g->listeners[i], listen_fds[i], EPOLLIN, on_listener,
				    g);
		if (r >= 0) {
			g->n_listeners++;
			r = sd_event_source_set_io_fd_own(g->listeners[i], true);
		}
	}
	if (r < 0) {
		return r;
	}
	*ret = TAKE_PTR(g);
	return 0;
}

struct gate *gate_free(struct gate *g)
{
	if (g) {
		while (!list_empty(&g->conns)) {
			conn_free(container_of(g->conns.next, struct conn, link));
		}
		while (!list_empty(&g->dead)) {
			conn_free(container_of(g->dead.next, struct conn, link));
		}
		for (size_t i = 0; i < g->n_listeners; i++) {
			sd_event_source_disable_unref(g->listeners[i]);
		}
		for (size_t i = 0; i < ARRAY_SIZE(g->signals); i++) {
			sd_event_source_disable_unref(g->signals[i]);
		}
		sd_event_source_disable_unref(g->reaper);
		sd_event_source_disable_unref(g->pause);
		sd_event_source_disable_unref(g->drain);
		free(g);
	}
	return NULL;
}
