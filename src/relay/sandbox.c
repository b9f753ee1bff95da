/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The empty room in which the relay works.
 *
 * Theory of operation: walls are put up from the widest to the narrowest, each while the privilege
 * that it needs is still there: limits; own network, mounts, ipc (as an ordinary user through a
 * user namespace); an empty root; another user, no groups, no capability, and none to be had again;
 * no file by Landlock; and last the filter of system calls. What the relay's own code calls stands
 * beside it in "#syscalls" comments, of one line each, out of which the build makes the filter
 * (seccomp.sh). What the libraries under it call stands here.
 */
/* sd-event  #syscalls: epoll_ctl epoll_wait epoll_pwait epoll_pwait2 timerfd_create */
/* sd-event  #syscalls: timerfd_settime signalfd4 rt_sigprocmask getpid gettid read */
/* libc      #syscalls: brk mmap munmap mremap mprotect madvise futex getrandom */
/* libc      #syscalls: rt_sigreturn rt_sigaction restart_syscall tgkill exit exit_group */
/* base      #syscalls: write read getrandom clock_gettime clock_getres clock_nanosleep */
/* io        #syscalls: sendmsg recvmsg recvfrom sendto getsockopt accept4 fcntl close */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"
#include "seccomp_calls.h"

/* The sanitizers' runtime makes calls of its own, at any time: builds with it only have the calls
 * logged. */
#define FILTER_ACTION (SANITIZED ? SCMP_ACT_LOG : SCMP_ACT_KILL_PROCESS)

static int limits_set(const struct sandbox_options *o)
{
	const struct {
		int resource;
		rlim_t value;
	} limits[] = {
		{ RLIMIT_CORE, 0 },
		{ RLIMIT_NOFILE, o->files_max },
		{ RLIMIT_FSIZE, o->file_bytes_max },
	};

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		__rlimit_resource_t resource = (__rlimit_resource_t)limits[i].resource;
		struct rlimit limit;

		if (getrlimit(resource, &limit) < 0) {
			return -errno;
		}
		/* Never more than we were given: that would take a privilege. */
		limit.rlim_cur = limit.rlim_max = MIN(limits[i].value, limit.rlim_max);
		if (setrlimit(resource, &limit) < 0) {
			return -errno;
		}
	}
	return 0;
}

static int map_own_id(const char *path, unsigned id)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
	char text[64];
	int n = snprintf(text, sizeof(text), "%u %u 1", id, id);

	return fd < 0 ? -errno : write_all(fd, text, (size_t)n);
}

static int namespaces_leave(void)
{
	int flags = CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;
	uid_t uid = geteuid();
	gid_t gid = getegid();
	_cleanup_close_ int fd = -1;
	int err;

	if (uid == 0) {
		return unshare(flags) < 0 ? -errno : 0;
	}
	if (unshare(flags | CLONE_NEWUSER) < 0) {
		return -errno;
	}
	/* Our own id stays what it was, so that peers' ids read right. */
	fd = open("/proc/self/setgroups", O_WRONLY | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	err = write_all(fd, "deny", 4);
	if (err == 0) {
		err = map_own_id("/proc/self/uid_map", uid);
	}
	if (err == 0) {
		err = map_own_id("/proc/self/gid_map", gid);
	}
	return err;
}

/* A root with nothing in it, not writable; the old one is out of reach. */
static int root_empty(void)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY,
		  "nr_inodes=2,size=4k") < 0 ||
	    chdir("/tmp") < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0) {
		return -errno;
	}
	return 0;
}

static int bounding_set_clear(void)
{
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++) {
		if (prctl(PR_CAPBSET_DROP, cap) < 0) {
			return -errno;
		}
	}
	return 0;
}

static int privileges_drop(const struct sandbox_options *o)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };
	int err = bounding_set_clear();

	/* An ordinary user without a user namespace has no capability to drop the set with, and
	 * none to lose. */
	if (err < 0 && (err != -EPERM || geteuid() == 0)) {
		return err;
	}
	if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setresgid(o->gid, o->gid, o->gid) < 0 ||
			       setresuid(o->uid, o->uid, o->uid) < 0)) {
		return -errno;
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
	    syscall(SYS_capset, &header, none) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		return -errno;
	}
	return 0;
}

/* A rule set that handles all there is, with no rule in it. */
static int landlock_close(void)
{
	/* Rights by the interface's version: files, then REFER, TRUNCATE, TCP, IOCTL_DEV, scopes. A
	 * kernel refuses what it does not know, and headers may be older than the kernel. */
	static const struct {
		uint64_t fs, net, scoped;
		size_t size;
	} handled[] = {
		{ 0, 0, 0, 0 },
		{ (1u << 13) - 1, 0, 0, 8 },
		{ (1u << 14) - 1, 0, 0, 8 },
		{ (1u << 15) - 1, 0, 0, 8 },
		{ (1u << 15) - 1, 3, 0, 16 },
		{ (1u << 16) - 1, 3, 0, 16 },
		{ (1u << 16) - 1, 3, 3, 24 },
	};
	_cleanup_close_ int fd = -1;
	uint64_t attr[3];
	size_t version;
	long known = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	if (known < 1) {
		return known < 0 ? -errno : -EOPNOTSUPP;
	}
	version = MIN((size_t)known, ARRAY_SIZE(handled) - 1);
	attr[0] = handled[version].fs;
	attr[1] = handled[version].net;
	attr[2] = handled[version].scoped;
	fd = (int)syscall(SYS_landlock_create_ruleset, attr, handled[version].size, 0);
	if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0) < 0) {
		return -errno;
	}
	return 0;
}

/* Calls that are harmless with some arguments only. */
static int filter_add_guarded(scmp_filter_ctx filter, int call)
{
	switch (call) {
	case SCMP_SYS(mmap):
	case SCMP_SYS(mprotect):
		return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1,
					SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	case SCMP_SYS(openat):
		/* Libraries that go on without: there is nothing to open in an empty root. */
		return seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOENT), call, 0);
	case SCMP_SYS(socketpair):
		return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1,
					SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	case SCMP_SYS(tgkill):
		/* abort() */
		return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1,
					SCMP_A2(SCMP_CMP_EQ, SIGABRT));
	default:
		return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
	}
}

static int filter_fill(scmp_filter_ctx filter)
{
	for (size_t i = 0; i < ARRAY_SIZE(seccomp_calls); i++) {
		int call = seccomp_syscall_resolve_name(seccomp_calls[i]);
		int err;

		if (call == __NR_SCMP_ERROR) {
			return -EINVAL;
		}
		err = filter_add_guarded(filter, call);
		if (err < 0) {
			return err;
		}
	}
	return seccomp_load(filter);
}

static int filter_load(void)
{
	scmp_filter_ctx filter = seccomp_init(FILTER_ACTION);
	int err;

	if (!filter) {
		return -ENOMEM;
	}
	err = filter_fill(filter);
	seccomp_release(filter);
	return err;
}

int sandbox_enter(const struct sandbox_options *options, unsigned *ret_missing)
{
	unsigned missing = 0;
	int err = limits_set(options);

	if (err < 0) {
		return err;
	}
	if (namespaces_leave() < 0) {
		missing |= SANDBOX_NAMESPACES | SANDBOX_ROOT;
	} else if (root_empty() < 0) {
		missing |= SANDBOX_ROOT;
	}
	err = privileges_drop(options);
	if (err < 0) {
		return err;
	}
	if (landlock_close() < 0) {
		missing |= SANDBOX_LANDLOCK;
	}
	err = filter_load();
	if (err < 0) {
		return err;
	}
	*ret_missing = missing;
	return 0;
}
