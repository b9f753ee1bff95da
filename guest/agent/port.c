/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's link to the relay.
 *
 * A virtio-serial port has no connections, only a host's side that is open or not. While it is
 * closed the port polls as hung up all the time, so it is then watched edge-triggered: the next
 * edge is the relay's coming back. Each time the host's side opens the link starts anew
 * (PROTOCOL.tunnel §2), and so it does when the relay breaks the protocol.
 */
#include "port.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent.h"
#include "chan.h"
#include "cleanup.h"
#include "file.h"
#include "log.h"
#include "parse.h"

#define OUTPUT_MAX_BYTES (1024 * 1024)
#define READ_BYTES 65536
#define READS_PER_TURN 8 /* then the others get a turn */

int port_find(void)
{
	static const char sys[] = "/sys/class/virtio-ports";
	struct dirent *entry;
	int fd = -ENOENT;
	DIR *dir = opendir(sys);

	if (!dir) {
		return -ENOENT;
	}
	while (fd == -ENOENT && (entry = readdir(dir))) {
		_cleanup_free_ char *path = strf("%s/%s/name", sys, entry->d_name);
		_cleanup_free_ char *device = strf("/dev/%s", entry->d_name);
		_cleanup_free_ char *name = NULL;
		size_t len;

		if (entry->d_name[0] == '.' || !path || !device ||
		    file_read(path, 128, &name, &len) < 0) {
			continue;
		}
		name[strcspn(name, "\n")] = '\0';
		if (strcmp(name, PORT_NAME) == 0) {
			fd = open(device, O_RDWR | O_NONBLOCK | O_CLOEXEC);
			fd = fd < 0 ? -errno : fd;
		}
	}
	closedir(dir);
	return fd;
}

static short port_poll(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, 0) > 0 ? pollfd.revents : 0;
}

/* A port whose host's side is closed polls as hung up and, since a read does not block, mostly as
 * readable. */
bool port_host_is_there(int fd)
{
	return !(port_poll(fd) & POLLHUP);
}

static bool hung_up(const struct port *p)
{
	short events = port_poll(p->source.fd);

	return (events & POLLHUP) && !(events & POLLIN);
}

static void port_disconnected(struct port *p)
{
	if (p->inherited) {
		loop_stop(&p->agent->loop, 0);
		return;
	}
	if (p->connected) {
		log_info("relay: connection lost");
	}
	p->connected = false;
	tunnel_link_reset(p->link);
}

static void port_read(struct port *p)
{
	static uint8_t bytes[READ_BYTES];

	for (int i = 0; i < READS_PER_TURN; i++) {
		ssize_t n = read(p->source.fd, bytes, sizeof(bytes));
		int r;

		if (n < 0) {
			if (errno != EAGAIN && errno != EINTR) {
				port_disconnected(p);
			}
			return;
		}
		if (n == 0) {
			port_disconnected(p);
			return;
		}
		p->connected = true;
		r = tunnel_link_input(p->link, bytes, n);
		if (r < 0) {
			log_warn("relay: %s; starting the connection anew", strerror(-r));
			tunnel_link_reset(p->link);
		}
		if ((size_t)n < sizeof(bytes)) {
			return;
		}
	}
}

static void port_write(struct port *p)
{
	struct buf *out = tunnel_link_output(p->link);

	while (buf_len(out) > 0) {
		ssize_t n = write(p->source.fd, buf_data(out), buf_len(out));

		if (n <= 0) {
			if (n < 0 && errno != EAGAIN && errno != EINTR) {
				port_disconnected(p);
			}
			return;
		}
		tunnel_link_output_sent(p->link, n);
	}
}

static void port_ready(struct source *s, uint32_t events)
{
	struct port *p = container_of(s, struct port, source);

	if (!p->connected && !p->inherited) {
		if (hung_up(p)) {
			return;
		}
		p->connected = true;
		tunnel_link_reset(p->link);
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		port_read(p);
	}
}

void port_prepare(struct port *p)
{
	if (p->connected) {
		port_write(p);
	}
	if (p->connected) {
		source_watch(&p->source,
			     EPOLLIN | (buf_len(tunnel_link_output(p->link)) > 0 ? EPOLLOUT : 0u));
	} else {
		source_watch(&p->source, EPOLLIN | EPOLLOUT | EPOLLET);
	}
}

static void link_up(struct tunnel_link *l, void *user)
{
	log_debug("relay: connected");
}

static void link_open(struct tunnel_link *l, uint16_t channel, const char *service, uint8_t mode,
		      uint64_t from, void *user)
{
	struct port *p = user;
	int r;

	if (strcmp(service, "config") == 0) {
		r = identity_accept(&p->agent->identity, l, channel);
	} else if (strcmp(service, "ssh") == 0) {
		r = ssh_accept(&p->agent->ssh, l, channel);
	} else {
		r = tunnel_link_refuse(l, channel, "not-found");
	}
	if (r < 0) {
		log_warn("relay: channel %s: %s", service, strerror(-r));
		if (tunnel_link_refuse(l, channel, "internal") < 0) {
			p->agent->loop.again = true;
		}
	}
}

static const struct tunnel_link_ops link_ops = {
	.up = link_up,
	.open = link_open,
	.opened = chan_on_opened,
	.data = chan_on_data,
	.screen = chan_on_screen,
	.gap = chan_on_gap,
	.writable = chan_on_writable,
	.eof = chan_on_eof,
	.ctl = chan_on_ctl,
	.closed = chan_on_closed,
};

int port_init(struct port *p, struct agent *a, int fd, bool inherited)
{
	int r;

	*p = (struct port){ .agent = a, .source.fd = -1, .inherited = inherited };
	r = tunnel_link_new(TUNNEL_LISTENER, &link_ops, p, OUTPUT_MAX_BYTES, &p->link);
	if (r < 0) {
		return r;
	}
	tunnel_link_set_portlike(p->link);
	r = fd_set_nonblock(fd);
	if (r < 0) {
		return r;
	}
	source_init_take(&p->source, &a->loop, fd, port_ready);
	p->connected = inherited || !hung_up(p);
	return 0;
}

void port_fini(struct port *p)
{
	source_close(&p->source);
	p->link = tunnel_link_free(p->link);
}
