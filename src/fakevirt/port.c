/* SPDX-License-Identifier: Apache-2.0 */
/* A chardev on a listening unix socket: at most one connection; a new one replaces it. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "cleanup.h"
#include "fakevirt.h"
#include "unix.h"

#define OUT_MAX (1024 * 1024)

static void drop(struct fake_port *p)
{
	p->io = sd_event_source_disable_unref(p->io);
	p->fd = close_fd(p->fd);
	buf_clear(&p->out);
}

static void flush(struct fake_port *p)
{
	while (p->fd >= 0 && buf_len(&p->out) > 0) {
		ssize_t n = buf_write_fd(&p->out, p->fd);

		if (n == -EAGAIN) {
			break;
		}
		if (n < 0) {
			drop(p);
			return;
		}
	}
	if (p->io) {
		sd_event_source_set_io_events(p->io, EPOLLIN | (buf_len(&p->out) ? EPOLLOUT : 0));
	}
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *user)
{
	struct fake_port *p = user;
	uint8_t bytes[16384];
	ssize_t n;

	if (events & EPOLLOUT) {
		flush(p);
		if (p->drained && p->fd >= 0 && buf_len(&p->out) == 0) {
			p->drained(p);
		}
	}
	if (p->fd < 0 || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
		return 0;
	}
	n = read(p->fd, bytes, sizeof(bytes));
	if (n > 0) {
		p->input(p, bytes, (size_t)n);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		drop(p);
	}
	return 0;
}

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *user)
{
	struct fake_port *p = user;
	int connected;

	if (unix_accept(p->listen_fd, &connected) < 0) {
		return 0;
	}
	drop(p);
	p->fd = connected;
	if (sd_event_add_io(p->f->event, &p->io, p->fd, EPOLLIN, on_io, p) < 0) {
		drop(p);
	} else if (p->drained) {
		p->drained(p);
	}
	return 0;
}

int fake_port_open(struct fake_port *p, struct fakevirt *f, const char *path)
{
	int r;

	p->f = f;
	p->fd = p->listen_fd = -1;
	buf_init(&p->out, OUT_MAX);
	p->path = strdup(path);
	r = p->path ? unix_listen(path, 0600, &p->listen_fd) : -ENOMEM;
	if (r == 0) {
		r = sd_event_add_io(f->event, &p->listen_io, p->listen_fd, EPOLLIN, on_connection,
				    p);
	}
	if (r < 0) {
		fake_port_close(p);
	}
	return r;
}

void fake_port_close(struct fake_port *p)
{
	if (!p->path) {
		return;
	}
	drop(p);
	p->listen_io = sd_event_source_disable_unref(p->listen_io);
	p->listen_fd = close_fd(p->listen_fd);
	unlink(p->path);
	free(p->path);
	p->path = NULL;
	buf_fini(&p->out);
}

bool fake_port_connected(const struct fake_port *p)
{
	return p->path && p->fd >= 0;
}

void fake_port_write(struct fake_port *p, const void *bytes, size_t len)
{
	if (fake_port_connected(p) && buf_append(&p->out, bytes, len) == 0) {
		flush(p);
	}
}
