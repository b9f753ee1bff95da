/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens the host's end of a running domain's console, whatever is behind it.
 *
 * The pty is opened as such and not through virDomainOpenConsole(): that stream would end with
 * every restart of libvirtd. A backend that cannot be connected to is followed in its log file,
 * where it has one.
 */
#include "console_open.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>

#include "cleanup.h"
#include "unix.h"

#define CONNECT_TIMEOUT_MS 3000

static int pty_open(const char *path, int *ret_fd)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	struct termios settings;

	if (fd < 0) {
		return -errno;
	}
	/* The emulator makes it raw; whoever used it since may have changed that. */
	if (tcgetattr(fd, &settings) < 0) {
		return -errno;
	}
	cfmakeraw(&settings);
	if (tcsetattr(fd, TCSANOW, &settings) < 0) {
		return -errno;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int connect_within(int fd, const struct addrinfo *address)
{
	struct pollfd poller = { .fd = fd, .events = POLLOUT };
	socklen_t len = sizeof(int);
	int error;

	if (connect(fd, address->ai_addr, address->ai_addrlen) == 0) {
		return 0;
	}
	if (errno != EINPROGRESS) {
		return -errno;
	}
	if (poll(&poller, 1, CONNECT_TIMEOUT_MS) <= 0) {
		return -ETIMEDOUT;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0) {
		return -errno;
	}
	return -error;
}

static int tcp_open(const char *host, const char *port, int *ret_fd)
{
	static const struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV,
	};
	struct addrinfo *list;
	int r = -EHOSTUNREACH;

	/* Bound to all addresses: any of ours will do. */
	if (!host || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0) {
		host = "localhost";
	}
	if (getaddrinfo(host, port, &hints, &list) != 0) {
		return -EHOSTUNREACH;
	}
	for (const struct addrinfo *address = list; address; address = address->ai_next) {
		_cleanup_close_ int fd =
			socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

		if (fd < 0) {
			r = -errno;
			continue;
		}
		r = connect_within(fd, address);
		if (r == 0) {
			*ret_fd = TAKE_FD(fd);
			break;
		}
	}
	freeaddrinfo(list);
	return r;
}

static int log_open_file(const char *path, int *ret_fd)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0) {
		return -errno;
	}
	*ret_fd = fd;
	return 0;
}

int console_place_open(const struct console_place *place, struct console *ret, struct fault *fault)
{
	struct console console = {
		.fd = -1, .history_fd = -1, .kind = CONSOLE_STREAM, .writable = true
	};
	const char *log = place->log;
	int r = -EOPNOTSUPP;

	/* No reason to make do with the log for this whole run. */
	if (place->backend == CONSOLE_BACKEND_PTY && !place->path) {
		return fault_set(fault, FAULT_VM_NOT_RUNNING, "The VM is still being started");
	}
	if (place->backend == CONSOLE_BACKEND_PTY) {
		r = pty_open(place->path, &console.fd);
	} else if (place->backend == CONSOLE_BACKEND_UNIX && place->path) {
		r = unix_connect(place->path, &console.fd);
	} else if (place->backend == CONSOLE_BACKEND_TCP && place->port) {
		r = tcp_open(place->host, place->port, &console.fd);
	} else if (place->backend == CONSOLE_BACKEND_FILE && place->path) {
		log = place->path;
	}
	if (r == 0 && place->log && log_open_file(place->log, &console.history_fd) < 0) {
		console.history_fd = -1; /* it is a gift, not a need */
	}
	if (r < 0 && log) {
		console.kind = CONSOLE_FILE;
		console.writable = false;
		console.path = strdup(log);
		r = console.path ? 0 : -ENOMEM;
	}
	if (r == -EOPNOTSUPP) {
		fault_set(fault, FAULT_CONSOLE_UNSUPPORTED,
			  "The VM has no console that can be opened");
		fault_hint(
			fault,
			"Its domain needs a serial port of type pty, unix or tcp (listening), or "
			"file.");
		return -EREMOTEIO;
	}
	if (r < 0) {
		return fault_set(fault, FAULT_HYPERVISOR_FAILED,
				 "The VM's console could not be opened: %s", strerror(-r));
	}
	*ret = console;
	return 0;
}
