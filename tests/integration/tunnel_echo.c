/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Test tool: a relay's stream socket (PROTOCOL.tunnel §5) that knows three services.
 *
 *	tunnel_echo SOCKET
 *
 * echo: what comes is sent back, and the end too. console: a gap, the control messages and some
 *text, then silence. tail: from the offset that was asked for on, "tail\n" and the end. Anything
 *else is refused.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "file.h"
#include "tunnel_link.h"
#include "unix.h"

#define WINDOW (512 * 1024)

struct echo {
	struct tunnel_link *link;
	struct buf back;
	uint16_t channel;
	bool ending, failed;
};

static void check(struct echo *e, int r)
{
	e->failed |= r < 0;
}

static void send_back(struct echo *e)
{
	ssize_t n;

	while (e->channel && buf_len(&e->back) > 0) {
		n = tunnel_link_send(e->link, e->channel, buf_data(&e->back), buf_len(&e->back));
		if (n <= 0) {
			check(e, n);
			return;
		}
		buf_consume(&e->back, n);
	}
	if (e->channel && e->ending) {
		e->ending = false;
		check(e, tunnel_link_eof(e->link, e->channel));
	}
}

static void on_up(struct tunnel_link *l, void *user)
{
}

static void on_open(struct tunnel_link *l, uint16_t channel, const char *service, uint8_t mode,
		    uint64_t from, void *user)
{
	static const struct tunnel_ctl holds = { .op = TUNNEL_CTL_WRITER, .on = true },
				       away = { .op = TUNNEL_CTL_SOURCE, .on = false };
	struct echo *e = user;

	e->channel = channel;
	if (strcmp(service, "echo") == 0) {
		check(e, tunnel_link_accept(l, channel, 0, WINDOW, mode));
	} else if (strcmp(service, "console") == 0) {
		check(e, tunnel_link_accept(l, channel, 1000, WINDOW, mode));
		check(e, tunnel_link_ctl(l, channel, &holds));
		check(e, buf_append(&e->back, "text\n", 5));
		send_back(e);
		check(e, tunnel_link_send_gap(l, channel, 50));
		check(e, buf_append(&e->back, "more\n", 5));
		send_back(e);
		check(e, tunnel_link_ctl(l, channel, &away));
	} else if (strcmp(service, "tail") == 0) {
		check(e, tunnel_link_accept(l, channel, from, WINDOW, mode));
		check(e, buf_append(&e->back, "tail\n", 5));
		e->ending = true;
		send_back(e);
	} else {
		e->channel = 0;
		check(e, tunnel_link_refuse(l, channel, "console-unsupported"));
	}
}

static void on_opened(struct tunnel_link *l, uint16_t channel, uint64_t start, uint8_t mode,
		      void *user)
{
}

static void on_data(struct tunnel_link *l, uint16_t channel, uint64_t offset, const uint8_t *p,
		    size_t len, void *user)
{
	struct echo *e = user;

	check(e, buf_append(&e->back, p, len));
}

static void on_gap(struct tunnel_link *l, uint16_t channel, uint64_t offset, uint64_t length,
		   void *user)
{
}

static void on_writable(struct tunnel_link *l, uint16_t channel, void *user)
{
}

static void on_eof(struct tunnel_link *l, uint16_t channel, void *user)
{
	struct echo *e = user;

	e->ending = true;
}

static void on_ctl(struct tunnel_link *l, uint16_t channel, const struct tunnel_ctl *ctl,
		   void *user)
{
}

static void on_closed(struct tunnel_link *l, uint16_t channel, const char *reason, void *user)
{
	struct echo *e = user;

	e->channel = 0;
	buf_clear(&e->back);
}

static const struct tunnel_link_ops ops = {
	.up = on_up,
	.open = on_open,
	.opened = on_opened,
	.data = on_data,
	.gap = on_gap,
	.writable = on_writable,
	.eof = on_eof,
	.ctl = on_ctl,
	.closed = on_closed,
};

static int turn(struct echo *e, int fd)
{
	static uint8_t block[64 * 1024];
	struct buf *out = tunnel_link_output(e->link);
	struct pollfd p = { .fd = fd, .events = POLLIN | (buf_len(out) > 0 ? POLLOUT : 0) };
	ssize_t n;
	int r;

	if (poll(&p, 1, -1) < 0) {
		return -errno;
	}
	if (p.revents & (POLLIN | POLLHUP)) {
		n = read(fd, block, sizeof(block));
		if (n <= 0) {
			return n == 0 || errno != EAGAIN ? -EPIPE : 0;
		}
		r = tunnel_link_input(e->link, block, n);
		if (r < 0) {
			return r;
		}
	}
	send_back(e);
	if (e->channel) {
		uint64_t dealt = tunnel_link_rx_offset(e->link, e->channel) - buf_len(&e->back);

		check(e, tunnel_link_credit(e->link, e->channel, dealt + WINDOW));
	}
	if (buf_len(out) > 0) {
		n = write(fd, buf_data(out), buf_len(out));
		if (n < 0) {
			return errno == EAGAIN ? 0 : -errno;
		}
		tunnel_link_output_sent(e->link, n);
	}
	return e->failed ? -EIO : 0;
}

static int read_line(int fd, char *line, size_t size)
{
	for (size_t i = 0; i + 1 < size; i++) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (poll(&p, 1, 5000) <= 0 || read(fd, line + i, 1) != 1) {
			return -EPIPE;
		}
		if (line[i] == '\n') {
			line[i] = '\0';
			return 0;
		}
	}
	return -EMSGSIZE;
}

static int serve(int fd)
{
	struct echo e = { 0 };
	char line[64];
	int r;

	r = read_line(fd, line, sizeof(line));
	if (r < 0 || strncmp(line, "DVM1 ", 5) != 0 || write_all(fd, "OK frames\n", 10) < 0) {
		return 1;
	}
	buf_init(&e.back, 2 * WINDOW);
	r = tunnel_link_new(TUNNEL_LISTENER, &ops, &e, 512 * 1024, &e.link);
	while (r == 0) {
		r = turn(&e, fd);
	}
	tunnel_link_free(e.link);
	buf_fini(&e.back);
	return r != -EPIPE;
}

int main(int argc, char **argv)
{
	int listener, fd;

	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if (argc != 2 || unix_listen(argv[1], 0666, &listener) < 0) {
		return 2;
	}
	for (;;) {
		struct pollfd p = { .fd = listener, .events = POLLIN };

		if (poll(&p, 1, -1) > 0 && unix_accept(listener, &fd) == 0) {
			if (fork() == 0) {
				exit(serve(fd));
			}
			close(fd);
		}
	}
}
