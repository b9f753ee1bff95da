/* SPDX-License-Identifier: Apache-2.0 */
/* The gate's listening sockets. */
#include "listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "cleanup.h"
#include "file.h"
#include "parse.h"

#define BACKLOG 1024

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static void set_port(union address *a, uint16_t port)
{
	if (a->any.sa_family == AF_INET) {
		a->in.sin_port = htons(port);
	} else {
		a->in6.sin6_port = htons(port);
	}
}

static uint16_t get_port(const union address *a)
{
	return ntohs(a->any.sa_family == AF_INET ? a->in.sin_port : a->in6.sin6_port);
}

static int address_parse(const char *text, union address *ret)
{
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN + 2];
	union address a = { 0 };
	uint32_t port;
	size_t len;

	if (!colon || parse_u32(colon + 1, &port) < 0 || port > UINT16_MAX) {
		return -EINVAL;
	}
	len = colon - text;
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
		a.any.sa_family = AF_INET6;
	} else {
		a.any.sa_family = AF_INET;
	}
	if (len >= sizeof(host)) {
		return -EINVAL;
	}
	memcpy(host, text, len);
	host[len] = '\0';
	if (inet_pton(a.any.sa_family, host,
		      a.any.sa_family == AF_INET ? (void *)&a.in.sin_addr
						 : (void *)&a.in6.sin6_addr) != 1) {
		return -EINVAL;
	}
	set_port(&a, port);
	*ret = a;
	return 0;
}

static int bind_listen(const union address *a, int *ret_fd)
{
	_cleanup_close_ int fd =
		socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, &a->any, a->any.sa_family == AF_INET ? sizeof(a->in) : sizeof(a->in6)) < 0 ||
	    listen(fd, BACKLOG) < 0) {
		return -errno;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* The port of before, so that a restart does not move it under the feet of clients; 0: none. */
static uint16_t port_of_before(const char *port_path)
{
	_cleanup_free_ char *text = NULL;
	uint32_t port;

	if (file_read(port_path, 16, &text, NULL) < 0) {
		return 0;
	}
	text[strcspn(text, "\n")] = '\0';
	return parse_u32(text, &port) == 0 && port <= UINT16_MAX ? port : 0;
}

static int port_store(int fd, const char *port_path)
{
	union address a;
	socklen_t len = sizeof(a);
	char text[16];

	if (getsockname(fd, &a.any, &len) < 0) {
		return -errno;
	}
	if (a.any.sa_family != AF_INET && a.any.sa_family != AF_INET6) {
		return -EAFNOSUPPORT;
	}
	snprintf(text, sizeof(text), "%u\n", get_port(&a));
	return file_write_atomic(port_path, text, strlen(text), 0644);
}

int listen_open(const char *address, const char *port_path, int ret_fds[GATE_LISTENERS_MAX],
		size_t *ret_n, struct fault *fault)
{
	_cleanup_close_ int fd = -1;
	union address a;
	int n, r;

	n = sd_listen_fds(1);
	if (n < 0 || n > GATE_LISTENERS_MAX) {
		return fault_set(fault, FAULT_BAD_VALUE, "The sockets handed over cannot be used.");
	}
	for (int i = 0; i < n; i++) {
		r = fd_set_nonblock(SD_LISTEN_FDS_START + i);
		if (r < 0 ||
		    sd_is_socket(SD_LISTEN_FDS_START + i, AF_UNSPEC, SOCK_STREAM, 1) <= 0) {
			return fault_set(fault, FAULT_BAD_VALUE,
					 "The sockets handed over cannot be used.");
		}
		ret_fds[i] = SD_LISTEN_FDS_START + i;
	}
	if (n == 0) {
		r = address_parse(address, &a);
		if (r < 0) {
			return fault_set(fault, FAULT_BAD_VALUE,
					 "Not a numeric address and port: %s", address);
		}
		r = -EADDRINUSE;
		if (get_port(&a) == 0) {
			set_port(&a, port_of_before(port_path));
			r = bind_listen(&a, &fd);
			if (r < 0) {
				set_port(&a, 0);
			}
		}
		if (r < 0) {
			r = bind_listen(&a, &fd);
		}
		if (r < 0) {
			return fault_set(fault, FAULT_INTERNAL, "Cannot listen on %s: %s", address,
					 strerror(-r));
		}
		ret_fds[0] = fd;
		n = 1;
	}
	r = port_store(ret_fds[0], port_path);
	if (r < 0) {
		return fault_set(fault, FAULT_INTERNAL, "The port cannot be stored: %s",
				 strerror(-r));
	}
	fd = -1;
	*ret_n = n;
	return 0;
}
