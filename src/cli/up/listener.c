/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets. */
#include "listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "file.h"
#include "parse.h"

#define BACKLOG 512

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* *ret_port: 0 when none is given. */
static int parse_address(const char *listen, union address *ret, uint16_t *ret_port)
{
	union address a = { 0 };
	char host[INET6_ADDRSTRLEN];
	const char *host_start = listen, *port = NULL;
	size_t len = strlen(listen);
	uint32_t number = 0;

	if (listen[0] == '[') {
		const char *end = strchr(listen, ']');

		if (!end || (end[1] && end[1] != ':')) {
			return -EINVAL;
		}
		host_start = listen + 1;
		len = (size_t)(end - host_start);
		port = end[1] ? end + 2 : NULL;
	} else if (strchr(listen, ':') == strrchr(listen, ':') && strchr(listen, ':')) {
		len = strcspn(listen, ":");
		port = listen + len + 1;
	}
	if (len >= sizeof(host) ||
	    (port && (parse_u32(port, &number) < 0 || number > UINT16_MAX))) {
		return -EINVAL;
	}
	memcpy(host, host_start, len);
	host[len] = '\0';
	if (inet_pton(AF_INET, host, &a.in.sin_addr) == 1) {
		a.in.sin_family = AF_INET;
	} else if (inet_pton(AF_INET6, host, &a.in6.sin6_addr) == 1) {
		a.in6.sin6_family = AF_INET6;
	} else {
		return -EINVAL;
	}
	*ret = a;
	*ret_port = (uint16_t)number;
	return 0;
}

static uint16_t port_of_before(const char *port_path)
{
	_cleanup_free_ char *text = NULL;
	uint32_t port;
	size_t len;

	if (file_read(port_path, 16, &text, &len) < 0) {
		return 0;
	}
	text[strcspn(text, "\r\n")] = '\0';
	return parse_u32(text, &port) == 0 && port <= UINT16_MAX ? (uint16_t)port : 0;
}

static int bind_listen(union address *a, uint16_t port, int *ret_fd)
{
	_cleanup_close_ int fd =
		socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t len = a->any.sa_family == AF_INET ? sizeof(a->in) : sizeof(a->in6);
	int one = 1;

	if (a->any.sa_family == AF_INET) {
		a->in.sin_port = htons(port);
	} else {
		a->in6.sin6_port = htons(port);
	}
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, &a->any, len) < 0 || listen(fd, BACKLOG) < 0) {
		return -errno;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* `scheme`: "https://", "ssh://USER@" */
static char *make_url(const char *scheme, int fd)
{
	union address a;
	socklen_t len = sizeof(a);
	char host[INET6_ADDRSTRLEN];

	if (getsockname(fd, &a.any, &len) < 0) {
		return NULL;
	}
	if (a.any.sa_family == AF_INET) {
		if (a.in.sin_addr.s_addr == INADDR_ANY) {
			a.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		}
		inet_ntop(AF_INET, &a.in.sin_addr, host, sizeof(host));
		return strf("%s%s:%u", scheme, host, ntohs(a.in.sin_port));
	}
	if (IN6_IS_ADDR_UNSPECIFIED(&a.in6.sin6_addr)) {
		a.in6.sin6_addr = in6addr_loopback;
	}
	inet_ntop(AF_INET6, &a.in6.sin6_addr, host, sizeof(host));
	return strf("%s[%s]:%u", scheme, host, ntohs(a.in6.sin6_port));
}

/* The port: `port`, or the one of the last time, or any. */
static int open_at(union address *a, uint16_t port, const char *scheme, const char *shown,
		   const char *port_path, int *ret_fd, char **ret_url, struct fault *fault)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *url = NULL;
	uint16_t before = port == 0 ? port_of_before(port_path) : 0;
	char number[16];
	int r;

	r = bind_listen(a, port ? port : before, &fd);
	if (r == -EADDRINUSE && before) {
		r = bind_listen(a, 0, &fd);
	}
	if (r < 0) {
		return fault_set(fault, FAULT_BAD_VALUE, "cannot listen on %s: %s", shown,
				 strerror(-r));
	}
	url = make_url(scheme, fd);
	if (!url) {
		return -ENOMEM;
	}
	snprintf(number, sizeof(number), "%s\n", strrchr(url, ':') + 1);
	r = file_write_atomic(port_path, number, strlen(number), 0600);
	if (r < 0) {
		return fault_set(fault, FAULT_DISK_FULL, "cannot write %s: %s", port_path,
				 strerror(-r));
	}
	*ret_fd = TAKE_FD(fd);
	*ret_url = TAKE_PTR(url);
	return 0;
}

static int read_address(const char *text, union address *ret, uint16_t *ret_port,
			struct fault *fault)
{
	if (parse_address(text, ret, ret_port) < 0) {
		fault_set(fault, FAULT_BAD_VALUE, "--listen \"%.80s\" is not an address", text);
		fault_hint(fault, "numbers only, e.g. 192.0.2.1:8443 or [2001:db8::1]:8443");
		return -EREMOTEIO;
	}
	return 0;
}

int listener_open(const char *listen, const char *port_path, int *ret_fd, char **ret_url,
		  struct fault *fault)
{
	const char *text = listen ? listen : LISTENER_DEFAULT;
	union address a;
	uint16_t port;
	int r = read_address(text, &a, &port, fault);

	return r < 0 ? r : open_at(&a, port, "https://", text, port_path, ret_fd, ret_url, fault);
}

int listener_open_ssh(const char *listen, uint16_t port, const char *account, const char *port_path,
		      int *ret_fd, char **ret_url, struct fault *fault)
{
	_cleanup_free_ char *scheme = strf("ssh://%s@", account);
	_cleanup_free_ char *shown = strf("SSH's port %u", port);
	union address a;
	uint16_t other;
	int r = read_address(listen ? listen : LISTENER_DEFAULT, &a, &other, fault);

	if (r < 0) {
		return r;
	}
	return scheme && shown ? open_at(&a, port, scheme, shown, port_path, ret_fd, ret_url, fault)
			       : -ENOMEM;
}
