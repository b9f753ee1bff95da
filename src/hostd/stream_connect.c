/* SPDX-License-Identifier: Apache-2.0 */
/* Connects to a relay's stream socket. */
#include "stream_connect.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "file.h"
#include "parse.h"
#include "relay.h"
#include "unix.h"

#define TICKET_TTL_MS 10000
#define ANSWER_TIMEOUT_MS 5000
#define LINE_MAX_BYTES 64

/* A byte at a time: what follows the line is not ours. */
static int read_line(int fd, char line[LINE_MAX_BYTES])
{
	size_t len = 0;

	while (len < LINE_MAX_BYTES - 1) {
		struct pollfd poller = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (poll(&poller, 1, ANSWER_TIMEOUT_MS) <= 0) {
			return -ETIMEDOUT;
		}
		n = read(fd, line + len, 1);
		if (n == 0) {
			return -EPIPE;
		}
		if (n < 0) {
			if (errno == EAGAIN || errno == EINTR) {
				continue;
			}
			return -errno;
		}
		if (line[len] == '\n') {
			line[len] = 0;
			return 0;
		}
		len++;
	}
	return -EPROTO;
}

int stream_connect(struct hostd *h, const char *relay, const char *service, const char *mode,
		   int *ret_fd, struct fault *fault)
{
	_cleanup_free_ char *path = relay_path(h, relay, "stream.sock");
	_cleanup_free_ char *first = NULL;
	_cleanup_close_ int fd = -1;
	char ticket[SECRET_LEN + 1], line[LINE_MAX_BYTES];
	int r;

	random_secret(ticket);
	first = strf("DVM1 %s\n", ticket);
	if (!path || !first) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory");
	}
	r = relay_call(h, relay, "grant",
		       json_pack("{sssssssbsi}", "ticket", ticket, "service", service, "mode", mode,
				 "raw", 0, "ttl_ms", TICKET_TTL_MS),
		       -1, -1, NULL, fault);
	if (r < 0) {
		return r;
	}
	r = unix_connect(path, &fd);
	if (r == 0) {
		r = write_all(fd, first, strlen(first)); /* fits any socket's buffer */
	}
	if (r == 0) {
		r = read_line(fd, line);
	}
	if (r < 0 || strcmp(line, "OK frames") != 0) {
		return fault_set(fault, FAULT_RELAY_LOST,
				 "The console's relay does not let the session in");
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}
