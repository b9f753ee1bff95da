/* SPDX-License-Identifier: Apache-2.0 */
/* What the gate gives up. */
#include "sandbox.h"

#include <errno.h>
#include <grp.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* What runs after sandbox_enter(): memory, the loop, sockets, time, and the end. */
static const int allowed[] = {
	/* memory (malloc, GnuTLS) */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(futex),
	/* sd-event */
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(read),
	SCMP_SYS(fcntl),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(signalfd4),
	SCMP_SYS(gettid),
	SCMP_SYS(getpid),
	/* streams */
	SCMP_SYS(accept4),
	SCMP_SYS(connect),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendto),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(shutdown),
	SCMP_SYS(close),
	SCMP_SYS(setsockopt),
	SCMP_SYS(getsockopt),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
	/* time, randomness, the end */
	SCMP_SYS(clock_gettime),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(getrandom),
	SCMP_SYS(getrusage),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(tgkill),
};

static int drop_user(void)
{
	if (setgroups(0, NULL) < 0 || setresgid(GATE_UID, GATE_UID, GATE_UID) < 0 ||
	    setresuid(GATE_UID, GATE_UID, GATE_UID) < 0) {
		return -errno;
	}
	/* The change of user has emptied the permitted and effective sets; nothing may bring them
	 * back. */
	return setuid(0) == 0 ? -EPERM : 0;
}

/* Anything else fails as not permitted: a call that a library makes for its comfort only does not
 * end the gate. */
static int filter_calls(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r = ctx ? 0 : -ENOMEM;

	for (size_t i = 0; i < ARRAY_SIZE(allowed) && r == 0; i++) {
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
	}
	if (r == 0) {
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				     SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	}
	if (r == 0) {
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	}
	if (r == 0) {
		r = seccomp_load(ctx);
	}
	seccomp_release(ctx);
	return r;
}

int sandbox_enter(struct fault *fault)
{
	int r = 0;

	if (geteuid() == 0) {
		r = drop_user();
	}
	if (r == 0 && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		       prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)) {
		r = -errno;
	}
	/* A sanitizer's own work at exit needs more. */
	if (r == 0 && !SANITIZED) {
		r = filter_calls();
	}
	return r < 0 ? fault_set(fault, FAULT_INTERNAL, "The gate's rights cannot be given up: %s",
				 strerror(-r))
		     : 0;
}
