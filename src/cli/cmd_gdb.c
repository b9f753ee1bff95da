/* SPDX-License-Identifier: Apache-2.0 */
/* dvm gdb: a VM's gdb stub, for the gdb of this machine. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cleanup.h"
#include "commands.h"
#include "forward.h"
#include "parse.h"
#include "other_program.h"
#include "view.h"

struct debugger {
	struct forward *forward;
	pid_t gdb;  /* 0: none, or gone */
	int status; /* -1: of none that is gone */
};

/* The command in DVM_GDB, by sh, with gdb's options behind its words. */
static int gdb_start(struct debugger *d, const char *symbols, uint16_t port)
{
	const char *own = getenv("DVM_GDB");
	_cleanup_free_ char *script = strf("exec %s \"$@\"", own && *own ? own : "gdb");
	_cleanup_free_ char *target = strf("target remote 127.0.0.1:%u", port);
	char *argv[] = { "sh", "-c", script, "dvm", "-q", "-ex", target, (char *)symbols, NULL };

	if (!script || !target) {
		return -ENOMEM;
	}
	return program_spawn(argv, &d->gdb);
}

static int signals_open(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* True: it is to end. */
static bool on_signal(struct debugger *d, const struct signalfd_siginfo *si)
{
	if (si->ssi_signo == SIGCHLD && d->gdb > 0) {
		d->status = program_reap(d->gdb);
		if (d->status >= 0) {
			d->gdb = 0;
		}
		return d->gdb == 0;
	}
	/* An interrupt from the terminal is gdb's: it stops the VM. */
	return si->ssi_signo != SIGCHLD && !(si->ssi_signo == SIGINT && d->gdb > 0);
}

static int loop(struct debugger *d, int signal_fd)
{
	struct pollfd fds[1 + FORWARD_FDS_MAX];

	for (;;) {
		struct signalfd_siginfo si;
		size_t n;

		fds[0] = (struct pollfd){ .fd = signal_fd, .events = POLLIN };
		n = 1 + forward_poll(d->forward, fds + 1);
		if (poll(fds, n, -1) < 0 && errno != EINTR) {
			return -errno;
		}
		while (read(signal_fd, &si, sizeof(si)) == sizeof(si)) {
			if (on_signal(d, &si)) {
				return 0;
			}
		}
		forward_step(d->forward);
	}
}

static int begin(struct debugger *d, const struct args *args, uint16_t port, struct fault *fault)
{
	int r;

	if (args_has(args, "print") || args_has(args, "listen")) {
		printf("127.0.0.1:%u\n", port);
		fflush(stdout);
		fprintf(stderr,
			"dvm: `target remote 127.0.0.1:%u` in a gdb of yours debugs %s, "
			"until this ends\n",
			port, args_word(args, 0));
		return 0;
	}
	r = gdb_start(d, args_word(args, 1), port);
	return r < 0 ? fault_set(fault, FAULT_BAD_VALUE, "gdb cannot be started: %s", strerror(-r))
		     : 0;
}

static int end(const struct debugger *d, struct fault *fault)
{
	if (d->status <= 0 || forward_accepted(d->forward) > 0) {
		return 0;
	}
	fault_set(fault, FAULT_BAD_VALUE, "gdb ended with status %d", d->status);
	fault_hint(fault, "install gdb, set DVM_GDB to the command of another, or use --print");
	return -EREMOTEIO;
}

static int run(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_free_ char *path = rest_path("/v1/vms/%s/streams", args_word(args, 0));
	const char *listen = args_value(args, "listen");
	const struct ticket_request request = { .path = path,
						.kind = "gdb",
						.mode = args_has(args, "read-only") ? "r"
							: args_has(args, "take")    ? "take"
										    : "rw" };
	_cleanup_close_ int signal_fd = -1;
	struct debugger d = { .status = -1 };
	uint32_t wanted = 0;
	uint16_t port;
	int r, fd;

	if (!path) {
		return -ENOMEM;
	}
	if (listen && (parse_u32(listen, &wanted) < 0 || wanted < 1 || wanted > 65535)) {
		return fault_set(fault, FAULT_BAD_VALUE, "--listen \"%.40s\" is not a port",
				 listen);
	}
	r = forward_listen((uint16_t)wanted, &fd, &port, fault);
	if (r == 0) {
		r = forward_new_take(cli, &request, fd, &d.forward);
	}
	if (r == 0) {
		signal_fd = signals_open();
		r = signal_fd < 0 ? -errno : 0;
	}
	if (r == 0) {
		r = begin(&d, args, port, fault);
	}
	if (r == 0) {
		r = loop(&d, signal_fd);
	}
	if (r == 0) {
		r = end(&d, fault);
	}
	forward_free(d.forward);
	return r;
}

static const struct option_def options[] = {
	{ "read-only", 'r', NULL, "only look, while the VM is stopped: nothing of it is changed" },
	{ "take", 't', NULL, "take over from whoever controls it; he only reads then" },
	{ "listen", 'l', "PORT", "listen on this port of 127.0.0.1, and start no gdb" },
	{ "print", 'p', NULL, "print the address, and start no gdb" },
	OPTION_END,
};

const struct command cmd_gdb = {
	.name = "gdb",
	.words = "VM [VMLINUX]",
	.summary = "a running VM's kernel, in your gdb",
	.text = "No session is needed, and the VM is neither prepared nor restarted. Connecting "
		"stops it where it is. When gdb ends, however it ends, its breakpoints are removed "
		"and the VM runs on; so it does when nothing was said to it for some time, 15 "
		"minutes unless the operator has set another.\n\n"
		"Starts the command in DVM_GDB, or gdb, with the file VMLINUX, the kernel's "
		"symbols, and ends with it. With --print or --listen prints the address and serves "
		"any number of gdbs until it is interrupted: the first controls the VM, the others "
		"read while it is stopped. Only your own programs are let in. What gdb calls "
		"monitor is not passed on.",
	.options = options,
	.run = run,
};
