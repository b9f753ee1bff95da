/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports of targets as devices of the D-VM.
 *
 * Theory of operation: a port has two ends, which come and go by themselves: the D-VM's chardev (a
 * stream socket of the emulator) and a connection to the relay that has the port's hub. Bytes from
 * the hub are always taken: into `out`, and when the D-VM does not read them the oldest are dropped
 * there and counted, as on a line on which nobody listens. Nothing is ever put between the bytes to
 * say so: tools speak binary protocols here.
 *
 * What the D-VM sends waits in its socket, and so in its UART, until it can be passed on. A port
 * reads the hub on one channel and writes on another, which it opens, taking writing over, when the
 * D-VM sends something, and closes when that has been quiet for a while: so that a tty which is
 * there but not used keeps nobody from typing. Where writing is not to be had, what is sent is
 * dropped.
 */
/* #syscalls: read write close epoll_ctl */
#include "raw_port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "buf.h"
#include "channel.h"
#include "cleanup.h"
#include "clock.h"
#include "control.h"
#include "file.h"

#define PORTS_MAX 64
#define PORT_WINDOW ((size_t)64 * 1024)
#define PORT_OUTPUT_MAX ((size_t)1024 * 1024)
#define PORT_CHANNELS_MAX 4
#define WRITER_IDLE (2 * USEC_PER_SEC)
#define TELL_EVERY (10 * USEC_PER_SEC)

struct raw_port {
	struct list of_relay;
	struct relay *relay;
	char name[RELAY_NAME_MAX + 1];

	int fd; /* the D-VM's end; -1: none */
	sd_event_source *io;
	struct buf out;	 /* for the D-VM */
	uint64_t lost;	 /* bytes dropped, ever */
	uint64_t untold; /* of these, since the last notice */
	usec_t told_at;

	struct link_conn *conn; /* to the hub's relay; NULL: none */
	bool writable;
	struct channel rx, tx;
	bool tx_open;	 /* writing is ours */
	bool tx_refused; /* what waits now is dropped */
	bool used;	 /* since the last look */
	sd_event_source *idle;
	bool offset_known;
	uint64_t offset; /* of the hub's next byte */
};

static void watch(struct raw_port *p);

static struct raw_port *port_find(const struct relay *relay, const char *name)
{
	struct raw_port *p;

	list_for_each (p, &relay->raw_ports, of_relay) {
		if (strcmp(p->name, name) == 0) {
			return p;
		}
	}
	return NULL;
}

static void notify_lost(struct raw_port *p, const char *end)
{
	control_notify(p->relay->control, "port.lost",
		       json_pack("{s:s, s:s}", "name", p->name, "end", end));
}

/* --- the D-VM's end
 * ---------------------------------------------------------------------------------------- */

static void dvm_drop(struct raw_port *p)
{
	p->io = sd_event_source_disable_unref(p->io);
	p->fd = close_fd(p->fd);
	buf_clear(&p->out);
}

static void dvm_lost(struct raw_port *p)
{
	dvm_drop(p);
	notify_lost(p, "dvm");
}

static void lose(struct raw_port *p, uint64_t n)
{
	p->lost += n;
	p->untold += n;
}

/* When the D-VM reads again after it did not; it cannot make us say so all the time. */
static void tell_dropped(struct raw_port *p)
{
	usec_t now = clock_monotonic();

	if (p->untold > 0 && (p->told_at == 0 || now - p->told_at > TELL_EVERY)) {
		p->told_at = now;
		control_notify(
			p->relay->control, "port.dropped",
			json_pack("{s:s, s:I}", "name", p->name, "bytes", (json_int_t)p->untold));
		p->untold = 0;
	}
}

static void out_write(struct raw_port *p)
{
	while (p->fd >= 0 && buf_len(&p->out) > 0) {
		ssize_t n = buf_write_fd(&p->out, p->fd);

		if (n == -EINTR) {
			continue;
		}
		if (n == -EAGAIN) {
			return;
		}
		if (n < 0) {
			dvm_lost(p);
			return;
		}
	}
	if (p->fd >= 0) {
		tell_dropped(p);
	}
}

/* The newest PORT_WINDOW bytes are kept. */
static void out_add(struct raw_port *p, const uint8_t *bytes, size_t len)
{
	size_t over;

	if (p->fd < 0) {
		lose(p, len);
		return;
	}
	if (len > PORT_WINDOW) {
		lose(p, len - PORT_WINDOW);
		bytes += len - PORT_WINDOW;
		len = PORT_WINDOW;
	}
	over = len > buf_room(&p->out) ? len - buf_room(&p->out) : 0;
	if (over > 0) {
		buf_consume(&p->out, over);
		lose(p, over);
	}
	if (buf_append(&p->out, bytes, len) < 0) {
		lose(p, len); /* no memory */
	}
	out_write(p);
}

static const struct channel_ops tx_ops;

static void tx_begin(struct raw_port *p)
{
	p->tx_open = false;
	/* Of what the hub says nothing is wanted here: no credit. */
	if (channel_open(&p->tx, &tx_ops, p->conn, "console",
			 TUNNEL_MODE_READ | TUNNEL_MODE_WRITE | TUNNEL_MODE_TAKE, TUNNEL_FROM_LIVE,
			 0) < 0) {
		p->tx_refused = true;
	}
}

static void tx_end(struct raw_port *p)
{
	channel_close(&p->tx, "");
	p->tx_open = false;
}

static void in_read(struct raw_port *p)
{
	uint8_t bytes[PORT_WINDOW];
	bool drop = !p->writable || p->tx_refused;
	size_t room = sizeof(bytes);
	ssize_t n;

	if (!drop && !p->tx.conn) {
		if (p->conn && p->rx.conn) {
			tx_begin(p);
		}
		return;
	}
	if (!drop) {
		room = p->tx_open ? MIN(channel_room(&p->tx), sizeof(bytes)) : 0;
	}
	if (room == 0) {
		return;
	}
	n = read(p->fd, bytes, room);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (n <= 0) {
		dvm_lost(p);
		return;
	}
	p->tx_refused = false;
	if (!drop) {
		p->used = true;
		(void)channel_send(&p->tx, bytes, (size_t)n);
	}
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *user)
{
	struct raw_port *p = user;

	if (revents & EPOLLOUT) {
		out_write(p);
	}
	if (p->fd >= 0 && (revents & EPOLLIN)) {
		in_read(p);
	}
	if (p->fd >= 0 && (revents & (EPOLLHUP | EPOLLERR))) {
		/* What it still wanted to say is for a guest that is gone. */
		dvm_lost(p);
	}
	watch(p);
	return 0;
}

/* The one place that says what to wait for. */
static void watch(struct raw_port *p)
{
	uint32_t events = 0;
	bool reads;

	if (!p->io) {
		return;
	}
	if (!p->writable || p->tx_refused) {
		reads = true;
	} else if (p->tx.conn) {
		reads = p->tx_open && channel_room(&p->tx) > 0;
	} else {
		reads = p->conn && p->rx.conn;
	}
	events |= reads ? EPOLLIN : 0;
	events |= buf_len(&p->out) > 0 ? EPOLLOUT : 0;
	if (sd_event_source_set_io_events(p->io, events) < 0) {
		dvm_lost(p);
	}
}

/* --- the hub's end
 * ----------------------------------------------------------------------------------------- */

static int on_idle(sd_event_source *source, uint64_t now, void *user)
{
	struct raw_port *p = user;

	if (!p->used && p->tx.conn) {
		tx_end(p);
		watch(p);
	}
	p->used = false;
	if (p->tx.conn) {
		if (sd_event_source_set_time_relative(source, WRITER_IDLE) < 0 ||
		    sd_event_source_set_enabled(source, SD_EVENT_ONESHOT) < 0) {
			tx_end(p);
		}
	}
	return 0;
}

static void idle_arm(struct raw_port *p)
{
	p->used = true;
	if (sd_event_source_set_time_relative(p->idle, WRITER_IDLE) < 0 ||
	    sd_event_source_set_enabled(p->idle, SD_EVENT_ONESHOT) < 0) {
		p->used = false; /* then it keeps writing until somebody takes it */
	}
}

static void tx_opened(struct channel *c, uint64_t start, uint8_t mode)
{
	struct raw_port *p = container_of(c, struct raw_port, tx);

	if (mode & TUNNEL_MODE_WRITE) {
		p->tx_open = true;
		idle_arm(p);
	} else {
		tx_end(p);
		p->tx_refused = true;
	}
	watch(p);
}

static void tx_ctl(struct channel *c, const struct tunnel_ctl *ctl)
{
	struct raw_port *p = container_of(c, struct raw_port, tx);

	/* Somebody took it. */
	if (ctl->op == TUNNEL_CTL_WRITER && !ctl->on) {
		tx_end(p);
		watch(p);
	}
}

static void tx_data(struct channel *c, const uint8_t *p, size_t len)
{
}

static void tx_writable(struct channel *c)
{
	watch(container_of(c, struct raw_port, tx));
}

static void tx_closed(struct channel *c, const char *reason)
{
	struct raw_port *p = container_of(c, struct raw_port, tx);

	/* An answer to the open: nobody may write there. */
	p->tx_refused = !p->tx_open && p->rx.conn;
	p->tx_open = false;
	watch(p);
}

static const struct channel_ops tx_ops = {
	.opened = tx_opened,
	.data = tx_data,
	.screen = channel_ignore_screen,
	.gap = channel_ignore_gap,
	.writable = tx_writable,
	.eof = channel_ignore_eof,
	.ctl = tx_ctl,
	.closed = tx_closed,
};

static void rx_opened(struct channel *c, uint64_t start, uint8_t mode)
{
	struct raw_port *p = container_of(c, struct raw_port, rx);

	if (p->offset_known && start > p->offset) {
		lose(p, start - p->offset);
	}
	p->offset = start;
	p->offset_known = true;
	watch(p);
}

static void rx_data(struct channel *c, const uint8_t *bytes, size_t len)
{
	struct raw_port *p = container_of(c, struct raw_port, rx);

	p->offset += len;
	out_add(p, bytes, len);
	channel_window(c, PORT_WINDOW);
	watch(p);
}

static void rx_gap(struct channel *c, uint64_t length)
{
	struct raw_port *p = container_of(c, struct raw_port, rx);

	p->offset += length;
	lose(p, length);
	channel_window(c, PORT_WINDOW); /* it may lie beyond what was given */
}

static void rx_closed(struct channel *c, const char *reason)
{
	struct raw_port *p = container_of(c, struct raw_port, rx);

	/* Refused, or the hub went: without it the connection is for nothing. */
	if (p->conn && tunnel_link_is_up(link_conn_link(p->conn))) {
		link_conn_fail(p->conn);
	}
	watch(p);
}

static const struct channel_ops rx_ops = {
	.opened = rx_opened,
	.data = rx_data,
	.screen = channel_ignore_screen,
	.gap = rx_gap,
	.writable = channel_ignore_writable,
	.eof = channel_ignore_eof,
	.ctl = channel_ignore_ctl,
	.closed = rx_closed,
};

static void on_up(struct link_conn *conn, void *user)
{
	struct raw_port *p = user;

	if (channel_open(&p->rx, &rx_ops, conn, "console", TUNNEL_MODE_READ,
			 p->offset_known ? p->offset : TUNNEL_FROM_LIVE, PORT_WINDOW) < 0) {
		link_conn_fail(conn);
	}
}

static void on_open(struct link_conn *conn, uint16_t id, const char *service, uint8_t mode,
		    uint64_t from, void *user)
{
	channel_refuse(conn, id, fault_code_name(FAULT_FORBIDDEN));
}

static void hub_drop(struct raw_port *p)
{
	struct link_conn *conn = TAKE_PTR(p->conn);

	/* Its channels go with it. */
	link_conn_free(conn);
	p->tx_open = p->tx_refused = false;
}

static void on_ended(struct link_conn *conn, void *user)
{
	struct raw_port *p = user;

	hub_drop(p);
	notify_lost(p, "hub");
	watch(p);
}

static const struct link_conn_ops conn_ops = {
	.up = on_up,
	.open = on_open,
	.ended = on_ended,
};

/* --- life
 * --------------------------------------------------------------------------------------------------
 */

static struct raw_port *port_free(struct raw_port *p)
{
	hub_drop(p);
	dvm_drop(p);
	sd_event_source_disable_unref(p->idle);
	buf_fini(&p->out);
	list_del(&p->of_relay);
	free(p);
	return NULL;
}

/* The port of that name, made if need be. */
static int port_need(struct relay *relay, const char *name, struct raw_port **ret)
{
	struct raw_port *p = port_find(relay, name), *known;
	size_t n = 0;
	int err;

	if (p) {
		*ret = p;
		return 0;
	}
	list_for_each (known, &relay->raw_ports, of_relay) {
		n++;
	}
	if (n >= PORTS_MAX) {
		return -ENOSPC;
	}
	p = calloc(1, sizeof(*p));
	if (!p) {
		return -ENOMEM;
	}
	p->relay = relay;
	p->fd = -1;
	strncpy(p->name, name, RELAY_NAME_MAX);
	buf_init(&p->out, PORT_WINDOW);
	list_add_tail(&relay->raw_ports, &p->of_relay);
	err = sd_event_add_time(relay->event, &p->idle, CLOCK_MONOTONIC, 0, 0, on_idle, p);
	if (err >= 0) {
		err = sd_event_source_set_enabled(p->idle, SD_EVENT_OFF);
	}
	if (err < 0) {
		port_free(p);
		return err;
	}
	*ret = p;
	return 0;
}

int raw_port_open_take(struct relay *relay, const char *name, int fd)
{
	_cleanup_close_ int owned = fd;
	struct raw_port *p;
	int err = port_need(relay, name, &p);

	if (err == 0) {
		err = fd_set_nonblock(fd);
	}
	if (err < 0) {
		return err;
	}
	dvm_drop(p);
	err = sd_event_add_io(relay->event, &p->io, fd, 0, on_io, p);
	if (err < 0) {
		return err;
	}
	p->fd = TAKE_FD(owned);
	watch(p);
	return 0;
}

int raw_port_link_take(struct relay *relay, const char *name, bool writable, int fd)
{
	const struct link_conn_options options = {
		.kind = LINK_CONN_SOCKET,
		.role = TUNNEL_DIALER,
		.output_max = PORT_OUTPUT_MAX,
		.channels_max = PORT_CHANNELS_MAX,
	};
	_cleanup_close_ int owned = fd;
	struct raw_port *p;
	int err = port_need(relay, name, &p);

	if (err < 0) {
		return err;
	}
	hub_drop(p);
	p->writable = writable;
	err = link_conn_new_take(relay->event, relay->poll, TAKE_FD(owned), &options, &conn_ops, p,
				 &p->conn);
	watch(p);
	return err;
}

void raw_port_close(struct relay *relay, const char *name)
{
	struct raw_port *p = port_find(relay, name);

	if (p) {
		port_free(p);
	}
}

json_t *raw_ports_status(const struct relay *relay)
{
	json_t *list = json_array();
	struct raw_port *p;

	list_for_each (p, &relay->raw_ports, of_relay) {
		json_array_append_new(list, json_pack("{s:s, s:b, s:b, s:s, s:I}", "name", p->name,
						      "open", p->fd >= 0, "linked", p->conn != NULL,
						      "mode", p->writable ? "rw" : "r", "lost",
						      (json_int_t)p->lost));
	}
	return list;
}

void raw_ports_free(struct relay *relay)
{
	while (!list_empty(&relay->raw_ports)) {
		port_free(container_of(relay->raw_ports.next, struct raw_port, of_relay));
	}
}
