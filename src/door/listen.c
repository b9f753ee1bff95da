/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door itself: takes connections and starts an sshd for each.
 *
 * Theory of operation: the socket is the supervisor's, so nobody is refused while we are started
 * anew. Beside each sshd stands a process of ours, which ends it and waits for what its login left,
 * when it is told to or when we die: so nothing is left when we end. sshd's own bound on clients
 * that have not logged in yet does not work for one connection each; it is here: a connection
 * counts as young for as long as sshd waits for a login.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "door.h"
#include "file.h"
#include "log.h"
#include "parent.h"
#include "parse.h"
#include "sshd.h"
#include "unix.h"

#define CONNS_MAX 256
#define YOUNG_MAX 64
#define YOUNG_PER_ADDRESS_MAX 16
#define YOUNG_FOR (30 * USEC_PER_SEC) /* LoginGraceTime */
#define TEND_PATIENCE (5 * USEC_PER_SEC)
#define END_PATIENCE (2 * TEND_PATIENCE)
#define SMALL_FILE_MAX 4096

struct conn {
	pid_t pid; /* of the process beside its sshd; 0: free */
	usec_t since;
	struct in6_addr from;
};

struct door {
	struct sshd_options options;
	sd_event *event;
	sd_event_source *accept;
	int listen_fd;
	struct conn conns[CONNS_MAX];
	bool ending;
};

/* An IPv4 address as the IPv6 one it is mapped to. */
static void address_of(const struct sockaddr_storage *a, struct in6_addr *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (a->ss_family == AF_INET6) {
		*ret = ((const struct sockaddr_in6 *)a)->sin6_addr;
	} else if (a->ss_family == AF_INET) {
		ret->s6_addr[10] = ret->s6_addr[11] = 0xff;
		memcpy(&ret->s6_addr[12], &((const struct sockaddr_in *)a)->sin_addr, 4);
	}
}

/* Where another connection may be put; NULL: it is one too many. */
static struct conn *room_for(struct door *d, const struct in6_addr *from)
{
	usec_t now = clock_monotonic();
	size_t young = 0, same = 0;
	struct conn *room = NULL;

	for (size_t i = 0; i < CONNS_MAX; i++) {
		struct conn *c = &d->conns[i];

		if (c->pid == 0) {
			room = room ?: c;
		} else if (now - c->since < YOUNG_FOR) {
			young++;
			same += memcmp(&c->from, from, sizeof(*from)) == 0;
		}
	}
	return young < YOUNG_MAX && same < YOUNG_PER_ADDRESS_MAX ? room : NULL;
}

static void become_sshd(struct door *d, int fd)
{
	sigset_t none;
	int r;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setsid();
	r = sshd_exec(&d->options, fd);
	log_err("cannot start sshd: %s", strerror(-r));
	_exit(EXIT_FAILURE);
}

/* True when none is left. */
static bool reap(pid_t *io_sshd)
{
	pid_t pid;

	do {
		pid = waitpid(-1, NULL, WNOHANG);
		if (pid == *io_sshd) {
			*io_sshd = 0;
		}
	} while (pid > 0);
	return pid < 0 && errno == ECHILD;
}

/* The process beside an sshd, which itself forgets to die with its parent when it changes its user.
 */
static void tend(struct door *d, int fd, pid_t parent)
{
	const struct timespec patience = { .tv_sec = TEND_PATIENCE / USEC_PER_SEC };
	bool ending = false;
	sigset_t signals;
	pid_t sshd;
	int sig;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (getppid() != parent) {
		_exit(EXIT_FAILURE);
	}
	/* Both are blocked since parent_loop_new(). */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGCHLD);
	sshd = fork();
	if (sshd == 0) {
		become_sshd(d, fd);
	}
	close_range(STDERR_FILENO + 1, ~0U, 0);
	while (!reap(&sshd)) {
		sig = ending ? sigtimedwait(&signals, NULL, &patience)
			     : sigwaitinfo(&signals, NULL);
		if (sig == SIGTERM || (sig < 0 && errno == EAGAIN)) {
			if (sshd > 0) {
				kill(sshd, ending ? SIGKILL : SIGTERM);
			}
			ending = true;
		}
	}
	_exit(EXIT_SUCCESS);
}

static int on_connection(sd_event_source *source, int fd, uint32_t revents, void *user)
{
	struct door *d = user;
	struct sockaddr_storage a = { 0 };
	socklen_t len = sizeof(a);
	/* sshd wants a blocking one. */
	_cleanup_close_ int conn = accept4(fd, (struct sockaddr *)&a, &len, SOCK_CLOEXEC);
	struct in6_addr from;
	struct conn *room;
	pid_t self = getpid(), pid;

	if (conn < 0) {
		return 0;
	}
	address_of(&a, &from);
	room = room_for(d, &from);
	if (!room) {
		log_warn("too many connections, one is hung up on");
		return 0;
	}
	pid = fork();
	if (pid == 0) {
		tend(d, conn, self);
	}
	if (pid < 0) {
		log_warn("cannot serve a connection: %s, ignoring", strerror(errno));
		return 0;
	}
	*room = (struct conn){ .pid = pid, .since = clock_monotonic(), .from = from };
	return 0;
}

/* Reaps sshds, and what their logins left behind. */
static int on_child(sd_event_source *source, const struct signalfd_siginfo *info, void *user)
{
	struct door *d = user;

	for (;;) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);

		if (pid < 0 && errno == ECHILD && d->ending) {
			return sd_event_exit(d->event, 0);
		}
		if (pid <= 0) {
			return 0;
		}
		for (size_t i = 0; i < CONNS_MAX; i++) {
			if (d->conns[i].pid == pid) {
				d->conns[i].pid = 0;
			}
		}
	}
}

static void signal_all(struct door *d, int sig)
{
	for (size_t i = 0; i < CONNS_MAX; i++) {
		if (d->conns[i].pid > 0) {
			kill(d->conns[i].pid, sig);
		}
	}
}

static int on_patience(sd_event_source *source, uint64_t usec, void *user)
{
	struct door *d = user;

	log_warn("connections do not end; killing them");
	signal_all(d, SIGKILL);
	return sd_event_exit(d->event, 0);
}

static int on_end(sd_event_source *source, const struct signalfd_siginfo *info, void *user)
{
	struct door *d = user;

	if (d->ending) {
		return 0;
	}
	d->ending = true;
	sd_notify(0, "STOPPING=1");
	d->accept = sd_event_source_disable_unref(d->accept);
	signal_all(d, SIGTERM);
	if (sd_event_add_time_relative(d->event, NULL, CLOCK_MONOTONIC, END_PATIENCE, 0,
				       on_patience, d) < 0) {
		return sd_event_exit(d->event, 0);
	}
	return on_child(NULL, NULL, d);
}

static int take_socket(struct door *d)
{
	if (sd_listen_fds(1) != 1 ||
	    sd_is_socket(SD_LISTEN_FDS_START, AF_UNSPEC, SOCK_STREAM, 1) <= 0) {
		return -ENOTCONN;
	}
	d->listen_fd = SD_LISTEN_FDS_START;
	return fd_set_nonblock(d->listen_fd);
}

static int run(struct door *d)
{
	struct fault fault = { 0 };
	int r = take_socket(d);

	if (r < 0) {
		log_err("no listening socket was handed over");
		return EXIT_FAILURE;
	}
	r = sshd_prepare(&d->options, &fault);
	if (r < 0) {
		log_err("%s%s%s", r == -EREMOTEIO ? fault.message : strerror(-r),
			fault.hint[0] ? "; " : "", fault.hint);
		return EXIT_FAILURE;
	}
	r = parent_loop_new(on_child, on_end, d, &d->event);
	if (r == 0) {
		r = sd_event_add_io(d->event, &d->accept, d->listen_fd, EPOLLIN, on_connection, d);
	}
	if (r >= 0) {
		log_info("ready");
		sd_notify(0, "READY=1");
		r = sd_event_loop(d->event);
	}
	sd_event_source_disable_unref(d->accept);
	sd_event_unref(d->event);
	if (r < 0) {
		log_err("%s", strerror(-r));
	}
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int door_listen(const char *state, const char *account, const char *dvm, const char *url)
{
	struct door d = { .listen_fd = -1 };
	_cleanup_free_ char *self = realpath("/proc/self/exe", NULL);
	_cleanup_free_ char *socket = strf("%s/run/door.sock", state);
	_cleanup_free_ char *lock = strf("%s/run/dvm-door.lock", state);
	_cleanup_free_ char *pin_path = strf("%s/tls/gate.pin", state);
	_cleanup_free_ char *pin = NULL;
	_cleanup_close_ int lock_fd = -1;
	size_t len;
	int r;

	if (!self || !socket || !lock || !pin_path) {
		log_err("out of memory");
		return EXIT_FAILURE;
	}
	r = pid_lock(lock, &lock_fd);
	if (r == 0) {
		r = file_read(pin_path, SMALL_FILE_MAX, &pin, &len);
	}
	if (r < 0) {
		log_err("the state folder: %s", strerror(-r));
		return EXIT_FAILURE;
	}
	pin[strcspn(pin, "\r\n")] = '\0';
	d.options = (struct sshd_options){
		.state = state,
		.account = account,
		.door = self,
		.place = { .socket = socket, .dvm = dvm, .url = url, .pin = pin },
	};
	return run(&d);
}
