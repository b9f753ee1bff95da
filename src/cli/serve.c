/* SPDX-License-Identifier: Apache-2.0 */
/* A port of this machine, for the user's program. */
#include "serve.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cleanup.h"
#include "other_program.h"
#include "parse.h"

static int signals_open(void)
{
	sigset_t signals;
	int fd;

	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

int serve_port(const struct args *args, uint16_t *ret, struct fault *fault)
{
	const char *listen = args_value(args, "listen");
	uint32_t port = 0;

	if (listen && (parse_u32(listen, &port) < 0 || port < 1 || port > 65535)) {
		return fault_set(fault, FAULT_BAD_VALUE, "--listen \"%.40s\" is not a port",
				 listen);
	}
	*ret = (uint16_t)port;
	return 0;
}

int serve_begin(struct serve *s, struct cli *cli, const struct ticket_request *request,
		uint16_t port, struct fault *fault)
{
	int r, fd;

	s->forward = NULL;
	s->signal_fd = -1;
	s->program = 0;
	s->status = -1;
	r = forward_listen(port, &fd, &s->port, fault);
	if (r == 0) {
		r = forward_new_take(cli, request, fd, &s->forward);
	}
	if (r == 0) {
		s->signal_fd = signals_open();
		r = MIN(s->signal_fd, 0);
	}
	return r;
}

/* True: everything is to end. */
static bool on_signal(struct serve *s, unsigned signal)
{
	if (signal != SIGCHLD) {
		return !(signal == SIGINT && s->interrupts_pass && s->program > 0);
	}
	if (s->program > 0) {
		int status = program_reap(s->program);

		if (status >= 0) {
			s->program = 0;
			s->status = status;
		}
	}
	return false;
}

int serve_run(struct serve *s)
{
	struct pollfd fds[1 + FORWARD_FDS_MAX];

	while (!s->is_over(s)) {
		struct signalfd_siginfo si;
		size_t n;

		fds[0] = (struct pollfd){ .fd = s->signal_fd, .events = POLLIN };
		n = 1 + forward_poll(s->forward, fds + 1);
		if (poll(fds, n, -1) < 0 && errno != EINTR) {
			return -errno;
		}
		while (read(s->signal_fd, &si, sizeof(si)) == sizeof(si)) {
			if (on_signal(s, si.ssi_signo)) {
				return 0;
			}
		}
		forward_step(s->forward);
	}
	return 0;
}

void serve_end(struct serve *s)
{
	s->forward = forward_free(s->forward);
	s->signal_fd = close_fd(s->signal_fd);
}
