/* SPDX-License-Identifier: Apache-2.0 */
/* A file on its way to a console. See paste.h. */
#include "paste.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"

#define PIECE ((size_t)4096)

void paste_init(struct paste *p)
{
	*p = (struct paste){ .fd = -1 };
	buf_init(&p->awaited, PASTE_AHEAD);
}

void paste_fini(struct paste *p)
{
	p->fd = close_fd(p->fd);
	buf_fini(&p->awaited);
}

int paste_open(struct paste *p, const char *file, bool echo, struct fault *fault)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0) {
		return fault_set(fault, FAULT_BAD_VALUE, "%.200s: %s", file, strerror(errno));
	}
	close_fd(p->fd);
	p->fd = fd;
	p->echo = echo;
	p->bytes = 0;
	buf_clear(&p->awaited);
	return 0;
}

static bool is_echoed(uint8_t byte)
{
	return byte == '\r' || byte == '\n' || (byte >= ' ' && byte != 0x7f);
}

bool paste_wants(const struct paste *p, const struct typed *typed)
{
	return p->fd >= 0 && typed_room(typed) > 0 && (!p->echo || buf_room(&p->awaited) > 0);
}

int paste_go(struct paste *p, struct typed *typed, usec_t now)
{
	uint8_t bytes[PIECE];
	size_t room = MIN(typed_room(typed), PIECE);
	ssize_t n;

	if (p->echo) {
		room = MIN(room, buf_room(&p->awaited));
		p->moved = buf_len(&p->awaited) == 0 ? now : p->moved;
	}
	if (p->fd < 0 || room == 0) {
		return 0;
	}
	n = read(p->fd, bytes, room);
	if (n < 0) {
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	}
	if (n == 0) {
		p->fd = close_fd(p->fd);
		return 0;
	}
	p->bytes += (uint64_t)n;
	for (ssize_t i = 0; p->echo && i < n; i++) {
		int r = is_echoed(bytes[i]) ? buf_append(&p->awaited, &bytes[i], 1) : 0;

		if (r < 0) {
			return r;
		}
	}
	return typed_add(typed, bytes, (size_t)n);
}

void paste_said(struct paste *p, const uint8_t *bytes, size_t len, usec_t now)
{
	for (size_t i = 0; i < len && buf_len(&p->awaited) > 0; i++) {
		if (bytes[i] == *buf_data(&p->awaited)) {
			buf_consume(&p->awaited, 1);
			p->moved = now;
		}
	}
}

bool paste_is_over(const struct paste *p)
{
	return p->fd < 0 && buf_len(&p->awaited) == 0;
}

usec_t paste_deadline(const struct paste *p)
{
	return buf_len(&p->awaited) > 0 ? p->moved + PASTE_PATIENCE : USEC_INFINITY;
}
