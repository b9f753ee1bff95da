/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A viewer of the VM's display, on a channel.
 *
 * Theory of operation: each viewer has a connection of its own to the display, which dvm-hostd
 * opens when the viewer comes and hands over; what passes on it goes through the filter of rfb.h.
 * Nothing is read from the display while the viewer has not taken what was read before, so a slow
 * viewer is the display's to deal with, which leaves out pictures for it. What waits for
 * dvm-hostd's answer outlives its channel.
 */
/* #syscalls: read write close epoll_ctl fcntl */
#include "display_channel.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "channel.h"
#include "cleanup.h"
#include "control.h"
#include "file.h"
#include "rfb.h"

#define VIEWER_WINDOW ((size_t)16 * 1024)
#define READ_BYTES ((size_t)64 * 1024)
#define OPEN_TIMEOUT_USEC (20 * USEC_PER_SEC)

struct display_channel {
	struct list of_relay;
	struct relay *relay;
	struct channel channel; /* .conn NULL: gone */
	struct link_conn *conn; /* that it came on; only compared */
	uint8_t mode;
	bool waits; /* for dvm-hostd's answer */
	int fd;	    /* the display; -1: not yet */
	sd_event_source *io;
	struct rfb *rfb;
	struct buf to_display, to_viewer;
};

static struct display_channel *from_channel(struct channel *c)
{
	return container_of(c, struct display_channel, channel);
}

static void free_all(struct display_channel *d)
{
	sd_event_source_disable_unref(d->io);
	close_fd(d->fd);
	rfb_free(d->rfb);
	buf_fini(&d->to_display);
	buf_fini(&d->to_viewer);
	list_del(&d->of_relay);
	d->relay->n_displays--;
	free(d);
}

/* The caller does not touch `d` any more. */
static void end(struct display_channel *d, enum fault_code code)
{
	channel_close(&d->channel, code == FAULT_NONE ? "" : fault_code_name(code));
	if (!d->waits) {
		free_all(d);
	}
}

/* The one place that says what to wait for. */
static int watch(struct display_channel *d)
{
	uint32_t events = 0;

	if (buf_len(&d->to_viewer) == 0 && channel_room(&d->channel) > 0) {
		events |= EPOLLIN;
	}
	if (buf_len(&d->to_display) > 0) {
		events |= EPOLLOUT;
	}
	return sd_event_source_set_io_events(d->io, events);
}

/* Moves what goes. False: it is over, and `d` gone. */
static bool flush(struct display_channel *d)
{
	size_t room;

	while (buf_len(&d->to_display) > 0) {
		ssize_t n = buf_write_fd(&d->to_display, d->fd);

		if (n == -EAGAIN) {
			break;
		}
		if (n < 0 && n != -EINTR) {
			end(d, FAULT_NONE);
			return false;
		}
	}
	while ((room = MIN(channel_room(&d->channel), buf_len(&d->to_viewer))) > 0) {
		size_t n = channel_send(&d->channel, buf_data(&d->to_viewer), room);

		if (n == 0) {
			break;
		}
		buf_consume(&d->to_viewer, n);
	}
	/* What our own part of the handshake adds is not the viewer's to wait for. */
	channel_window(&d->channel, VIEWER_WINDOW - MIN(VIEWER_WINDOW, buf_len(&d->to_display)));
	if (watch(d) < 0) {
		end(d, FAULT_INTERNAL);
		return false;
	}
	return true;
}

static void display_read(struct display_channel *d)
{
	uint8_t bytes[READ_BYTES];
	size_t room = channel_room(&d->channel);
	ssize_t n;
	int err;

	if (buf_len(&d->to_viewer) > 0 || room == 0) {
		return;
	}
	n = read(d->fd, bytes, MIN(room, sizeof(bytes)));
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (n <= 0) {
		/* The VM was switched off, or the display has had enough of this viewer. */
		end(d, FAULT_NONE);
		return;
	}
	err = rfb_from_display(d->rfb, bytes, (size_t)n, &d->to_display, &d->to_viewer);
	if (err < 0) {
		end(d, err == -EPROTO ? FAULT_DISPLAY_UNSUPPORTED : FAULT_INTERNAL);
		return;
	}
	flush(d);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *user)
{
	struct display_channel *d = user;

	if (revents & EPOLLOUT && !flush(d)) {
		return 0;
	}
	if (revents & EPOLLIN) {
		display_read(d);
	} else if (revents & (EPOLLHUP | EPOLLERR)) {
		end(d, FAULT_NONE);
	}
	return 0;
}

static void on_data(struct channel *c, const uint8_t *p, size_t len)
{
	struct display_channel *d = from_channel(c);
	int err = rfb_from_viewer(d->rfb, p, len, &d->to_display, &d->to_viewer);

	if (err < 0) {
		end(d, err == -EPROTO ? FAULT_PROTOCOL : FAULT_INTERNAL);
		return;
	}
	flush(d);
}

static void on_writable(struct channel *c)
{
	struct display_channel *d = from_channel(c);

	if (d->fd >= 0) {
		flush(d);
	}
}

static void on_eof(struct channel *c)
{
	/* A viewer that says nothing more is no viewer. */
	end(from_channel(c), FAULT_NONE);
}

static void on_closed(struct channel *c, const char *reason)
{
	struct display_channel *d = from_channel(c);

	if (!d->waits) {
		free_all(d);
	}
}

static const struct channel_ops channel_ops = {
	.opened = channel_ignore_opened,
	.data = on_data,
	.screen = channel_ignore_screen,
	.gap = channel_ignore_gap,
	.writable = on_writable,
	.eof = on_eof,
	.ctl = channel_ignore_ctl,
	.closed = on_closed,
};

/* The display is ours: the viewer is let in. */
static int start(struct display_channel *d)
{
	bool view_only = !(d->mode & TUNNEL_MODE_WRITE);
	int err = fd_set_nonblock(d->fd);

	if (err == 0) {
		err = rfb_new(d->relay->name, view_only, &d->rfb);
	}
	if (err == 0) {
		err = rfb_start(d->rfb, &d->to_viewer);
	}
	if (err == 0) {
		err = sd_event_add_io(d->relay->event, &d->io, d->fd, 0, on_io, d);
	}
	if (err < 0) {
		return err;
	}
	channel_accept(&d->channel, 0, VIEWER_WINDOW, d->mode);
	return 0;
}

static void on_display(const json_t *result, const struct fault *fault, int *fds, size_t n_fds,
		       void *user)
{
	struct display_channel *d = user;

	d->waits = false;
	if (!d->channel.conn) {
		free_all(d); /* the viewer has left meanwhile */
		return;
	}
	if (fault || n_fds != 1) {
		end(d, fault ? fault->code : FAULT_PROTOCOL);
		return;
	}
	d->fd = TAKE_FD(fds[0]);
	if (start(d) < 0) {
		end(d, FAULT_INTERNAL);
		return;
	}
	flush(d);
}

static bool has_room(const struct relay *relay, const struct link_conn *conn)
{
	const struct display_channel *d;
	unsigned n = 0;

	list_for_each (d, &relay->displays, of_relay) {
		n += d->conn == conn;
	}
	return relay->n_displays < DISPLAYS_MAX && n < DISPLAYS_CONN_MAX;
}

void display_channel_open(struct relay *relay, struct link_conn *conn, uint16_t id, uint8_t mode)
{
	struct display_channel *d;

	if (!(mode & TUNNEL_MODE_READ)) {
		channel_refuse(conn, id, fault_code_name(FAULT_FORBIDDEN));
		return;
	}
	if (!has_room(relay, conn)) {
		channel_refuse(conn, id, fault_code_name(FAULT_QUOTA));
		return;
	}
	d = calloc(1, sizeof(*d));
	if (!d) {
		channel_refuse(conn, id, fault_code_name(FAULT_INTERNAL));
		return;
	}
	d->relay = relay;
	d->conn = conn;
	d->mode = mode & (TUNNEL_MODE_READ | TUNNEL_MODE_WRITE);
	d->fd = -1;
	buf_init(&d->to_display, RFB_OUT_ROOM(VIEWER_WINDOW));
	buf_init(&d->to_viewer, RFB_OUT_ROOM(READ_BYTES));
	list_add_tail(&relay->displays, &d->of_relay);
	relay->n_displays++;
	channel_init(&d->channel, &channel_ops, conn, id);
	d->waits = true;
	if (control_call(relay->control, "display.open", NULL, OPEN_TIMEOUT_USEC, on_display, d) <
	    0) {
		d->waits = false;
		end(d, FAULT_HOST_AWAY);
	}
}
