/* SPDX-License-Identifier: Apache-2.0 */
/* A channel of the relay's and a socket of a program in the D-VM. See bridge.h. */
#include "bridge.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "log.h"

#define CHUNK_BYTES 32768

void bridge_end(struct bridge *b, const char *reason)
{
	chan_close(&b->chan, reason);
	source_close(&b->source);
	b->dead = true;
}

/* Gives the relay credit for what the program has taken. */
static void bridge_credit(struct bridge *b)
{
	uint64_t taken = tunnel_link_rx_offset(b->chan.link, b->chan.number) - buf_len(&b->in);

	if (taken + BRIDGE_WINDOW >=
		    tunnel_link_rx_limit(b->chan.link, b->chan.number) + BRIDGE_WINDOW / 4 &&
	    tunnel_link_credit(b->chan.link, b->chan.number, taken + BRIDGE_WINDOW) < 0) {
		bridge_end(b, "internal");
	}
}

static void bridge_write(struct bridge *b)
{
	while (buf_len(&b->in) > 0) {
		ssize_t n = send(b->source.fd, buf_data(&b->in), buf_len(&b->in), MSG_NOSIGNAL);

		if (n < 0) {
			if (errno != EAGAIN && errno != EINTR) {
				buf_clear(&b->in);
			}
			break;
		}
		buf_consume(&b->in, n);
	}
	if (b->in_eof && buf_len(&b->in) == 0) {
		shutdown(b->source.fd, SHUT_WR);
	}
	bridge_credit(b);
}

static void bridge_read(struct bridge *b)
{
	static uint8_t bytes[CHUNK_BYTES];
	size_t room = tunnel_link_room(b->chan.link, b->chan.number);
	ssize_t n;

	if (room == 0) {
		return;
	}
	n = recv(b->source.fd, bytes, MIN(room, sizeof(bytes)), 0);
	if (n > 0) {
		if (tunnel_link_send(b->chan.link, b->chan.number, bytes, n) != n) {
			bridge_end(b, "internal");
		}
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		if (tunnel_link_eof(b->chan.link, b->chan.number) < 0) {
			log_debug("end of a stream not sent");
		}
		bridge_end(b, "");
	}
}

static void bridge_ready(struct source *s, uint32_t events)
{
	struct bridge *b = container_of(s, struct bridge, source);

	if (events & EPOLLOUT) {
		bridge_write(b);
	}
	if (!b->dead && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		bridge_read(b);
	}
}

static void on_data(struct chan *chan, const uint8_t *p, size_t len)
{
	struct bridge *b = container_of(chan, struct bridge, chan);

	/* within the window by the link's own check */
	if (buf_append(&b->in, p, len) < 0) {
		bridge_end(b, "internal");
		return;
	}
	bridge_write(b);
}

static void on_writable(struct chan *chan)
{
	/* bridge_prepare() watches the program again */
}

static void on_eof(struct chan *chan)
{
	struct bridge *b = container_of(chan, struct bridge, chan);

	b->in_eof = true;
	bridge_write(b);
}

static void on_closed(struct chan *chan, const char *reason)
{
	bridge_end(container_of(chan, struct bridge, chan), "");
}

static const struct chan_ops bridge_ops = {
	.opened = chan_ignore_opened,
	.data = on_data,
	.screen = chan_ignore_screen,
	.gap = chan_ignore_gap,
	.writable = on_writable,
	.eof = on_eof,
	.ctl = chan_ignore_ctl,
	.closed = on_closed,
};

static void bridge_init_take(struct bridge *b, struct loop *l, int fd)
{
	*b = (struct bridge){ 0 };
	list_init(&b->list);
	buf_init(&b->in, BRIDGE_WINDOW);
	source_init_take(&b->source, l, fd, bridge_ready);
}

int bridge_accept_take(struct bridge *b, struct loop *l, int fd, struct tunnel_link *link,
		       uint16_t channel)
{
	int r = tunnel_link_accept(link, channel, 0, BRIDGE_WINDOW,
				   TUNNEL_MODE_READ | TUNNEL_MODE_WRITE);

	if (r < 0) {
		close_fd(fd);
		return r;
	}
	bridge_init_take(b, l, fd);
	chan_bind(&b->chan, &bridge_ops, link, channel);
	return 0;
}

int bridge_open_take(struct bridge *b, struct loop *l, int fd, struct tunnel_link *link,
		     const char *service)
{
	int r;

	bridge_init_take(b, l, fd);
	r = chan_open(&b->chan, &bridge_ops, link, service, TUNNEL_MODE_READ | TUNNEL_MODE_WRITE,
		      TUNNEL_FROM_KEPT, BRIDGE_WINDOW);
	if (r < 0) {
		bridge_fini(b);
	}
	return r;
}

void bridge_fini(struct bridge *b)
{
	chan_close(&b->chan, "");
	source_close(&b->source);
	buf_fini(&b->in);
}

void bridge_prepare(struct bridge *b)
{
	uint32_t events = buf_len(&b->in) > 0 ? EPOLLOUT : 0;

	if (tunnel_link_room(b->chan.link, b->chan.number) > 0) {
		events |= EPOLLIN;
	}
	source_watch(&b->source, events);
}
