/* SPDX-License-Identifier: Apache-2.0 */
/* Processes of a state folder that outlived their supervisor. */
#include "leftover.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>

#include "cleanup.h"
#include "layout.h"
#include "log.h"
#include "parse.h"
#include "unix.h"

#define PATIENCE (20 * USEC_PER_SEC)

/* In the order in which they are to go. */
static const struct {
	enum leftover_set set;
	const char *lock;
} locks[] = {
	{ LEFTOVER_PROGRAMS, "run/dvm-door.lock" }, { LEFTOVER_PROGRAMS, "run/dvm-gate.lock" },
	{ LEFTOVER_PROGRAMS, "run/dvmd.lock" },	    { LEFTOVER_PROGRAMS, "run/dvm-hostd.lock" },
	{ LEFTOVER_GROUND, "run/fakevirt.lock" },   { LEFTOVER_GROUND, "run/libvirtd.pid" },
	{ LEFTOVER_GROUND, "run/virtlogd.pid" },
};

bool leftover_stop_owner(const char *path, usec_t patience)
{
	pid_t pid = pid_lock_owner(path);
	_cleanup_close_ int pidfd = -1;
	struct pollfd p;

	if (pid <= 0) {
		return false;
	}
	pidfd = pidfd_open(pid, 0);
	/* The same process still: a pid that was given away in between does not hold the lock. */
	if (pidfd < 0 || pid_lock_owner(path) != pid) {
		return false;
	}
	pidfd_send_signal(pidfd, SIGTERM, NULL, 0);
	p = (struct pollfd){ .fd = pidfd, .events = POLLIN };
	if (poll(&p, 1, (int)(patience / USEC_PER_MSEC)) == 0) {
		log_warn("process %d does not end; killing it", (int)pid);
		pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
		poll(&p, 1, -1);
	}
	return true;
}

typedef bool (*lock_fn)(const char *path);

static bool owned(const char *path)
{
	return pid_lock_owner(path) > 0;
}

static bool stop(const char *path)
{
	return leftover_stop_owner(path, PATIENCE);
}

static unsigned each_relay(const char *state, lock_fn fn)
{
	_cleanup_free_ char *dir = layout_path(state, "run/relay");
	DIR *d = dir ? opendir(dir) : NULL;
	const struct dirent *e;
	unsigned n = 0;

	while (d && (e = readdir(d))) {
		_cleanup_free_ char *path =
			e->d_name[0] != '.' ? strf("%s/%s/pid", dir, e->d_name) : NULL;

		n += path && fn(path);
	}
	if (d) {
		closedir(d);
	}
	return n;
}

static unsigned each(const char *state, unsigned sets, lock_fn fn)
{
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(locks); i++) {
		_cleanup_free_ char *path =
			locks[i].set & sets ? layout_path(state, locks[i].lock) : NULL;

		n += path && fn(path);
	}
	return n + (sets & LEFTOVER_RELAYS ? each_relay(state, fn) : 0);
}

unsigned leftover_count(const char *state, unsigned sets)
{
	return each(state, sets, owned);
}

unsigned leftover_stop(const char *state, unsigned sets)
{
	return each(state, sets, stop);
}
