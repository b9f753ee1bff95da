/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks of the targets.
 *
 * The kernel's uevents say that a disk came or went; which disk is whose stands in /sys (serial
 * "tN-DEV"). On every such event the wanted links are made anew from /sys: a lost event then does
 * no harm. A partition follows its disk: vda1 of the target is /dev/target/NAME/vda1, whatever
 * number the D-VM's kernel gave the disk. The same events carry the alias of hot-plugged hardware,
 * for which modprobe is started: there is no udev to do it.
 */
#include "disks.h"

#include <dirent.h>
#include <errno.h>
#include <linux/netlink.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"
#include "cleanup.h"
#include "file.h"
#include "log.h"
#include "parse.h"

#define TARGET_DIR "/dev/target"
#define UEVENT_BYTES 8192
#define EVENTS_PER_TURN 64

extern char **environ;

static int sys_read(const char *block, const char *attribute, char **ret)
{
	_cleanup_free_ char *path = strf("/sys/block/%s/%s", block, attribute);
	size_t len;
	int r;

	if (!path) {
		return -ENOMEM;
	}
	r = file_read(path, 256, ret, &len);
	if (r == 0) {
		(*ret)[strcspn(*ret, "\n")] = '\0';
	}
	return r;
}

static void link_device(const char *target, const char *name, const char *device)
{
	_cleanup_free_ char *dir = strf(TARGET_DIR "/%s", target);
	_cleanup_free_ char *path = strf(TARGET_DIR "/%s/%s", target, name);
	_cleanup_free_ char *to = strf("../../%s", device);

	if (!dir || !path || !to || dir_make(dir, 0755) < 0 ||
	    (symlink(to, path) < 0 && errno != EEXIST)) {
		log_warn("%s/%s/%s cannot be made, ignoring", TARGET_DIR, target, name);
	}
}

static void link_disk(struct disks *d, const char *block)
{
	_cleanup_free_ char *serial = NULL, *path = NULL;
	const char *device, *target;
	struct dirent *entry;
	uint32_t n;
	DIR *dir;

	if (sys_read(block, "serial", &serial) < 0 || disk_serial_parse(serial, &n, &device) < 0) {
		return;
	}
	target = identity_target(&d->agent->identity, n);
	if (!target) {
		return;
	}
	link_device(target, device, block);
	path = strf("/sys/block/%s", block);
	dir = path ? opendir(path) : NULL;
	while (dir && (entry = readdir(dir))) {
		size_t len = strlen(block);

		/* vdb1 of vdb: a folder of the disk that begins with its name */
		if (strncmp(entry->d_name, block, len) == 0 && entry->d_name[len]) {
			_cleanup_free_ char *name = strf("%s%s", device, entry->d_name + len);

			if (name) {
				link_device(target, name, entry->d_name);
			}
		}
	}
	if (dir) {
		closedir(dir);
	}
}

/* When all other links in /dev are made. */
static void memories_scan(struct disks *d)
{
	struct dirent *entry;
	DIR *dir = opendir("/sys/block");

	memories_scan_begin(&d->agent->memories);
	while (dir && (entry = readdir(dir))) {
		_cleanup_free_ char *serial = NULL;
		const char *device;
		uint32_t n;

		if (strncmp(entry->d_name, "vd", 2) == 0 &&
		    sys_read(entry->d_name, "serial", &serial) == 0 &&
		    disk_serial_parse(serial, &n, &device) == 0 && strcmp(device, "memory") == 0) {
			memories_add(&d->agent->memories, n, entry->d_name);
		}
	}
	if (dir) {
		closedir(dir);
	}
}

void disks_scan(struct disks *d)
{
	struct dirent *entry;
	DIR *dir;

	if (!d->agent->options.apply) {
		return;
	}
	if (dir_remove(TARGET_DIR) < 0) {
		log_warn("%s: old links stay", TARGET_DIR);
	}
	dir = opendir("/sys/block");
	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "vd", 2) == 0) {
			link_disk(d, entry->d_name);
		}
	}
	if (dir) {
		closedir(dir);
	}
	ports_scan(&d->agent->ports);
	memories_scan(d);
}

static void load_module(const char *alias)
{
	char *const argv[] = { "/sbin/modprobe", "-bq", (char *)alias, NULL };
	posix_spawnattr_t attributes;
	sigset_t none;
	pid_t pid;

	sigemptyset(&none);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	if (posix_spawn(&pid, argv[0], NULL, &attributes, argv, environ) != 0) {
		log_warn("modprobe does not start, ignoring");
	}
	posix_spawnattr_destroy(&attributes);
}

/* One message: "ACTION@PATH", then KEY=VALUE texts, each ended by a 0. Returns true for one about a
 * disk or a port. */
static bool uevent_handle(const char *text, size_t len)
{
	const char *alias = NULL;
	bool ours = false, add = strncmp(text, "add@", 4) == 0;

	for (size_t at = 0; at < len; at += strlen(text + at) + 1) {
		const char *field = text + at;

		if (strcmp(field, "SUBSYSTEM=block") == 0 || strcmp(field, "SUBSYSTEM=tty") == 0 ||
		    strcmp(field, "SUBSYSTEM=virtio-ports") == 0) {
			ours = true;
		} else if (strncmp(field, "MODALIAS=", 9) == 0) {
			alias = field + 9;
		}
	}
	if (alias && add && alias[0] != '-') {
		load_module(alias);
	}
	return ours;
}

static void uevents_ready(struct source *s, uint32_t events)
{
	struct disks *d = container_of(s, struct disks, uevents);
	static char text[UEVENT_BYTES + 1];
	bool changed = false;

	for (int i = 0; i < EVENTS_PER_TURN; i++) {
		struct sockaddr_nl from;
		socklen_t from_len = sizeof(from);
		ssize_t n = recvfrom(s->fd, text, UEVENT_BYTES, MSG_DONTWAIT,
				     (struct sockaddr *)&from, &from_len);

		if (n < 0) {
			/* ENOBUFS: some were lost */
			changed |= errno == ENOBUFS;
			break;
		}
		if (from.nl_pid != 0) {
			continue; /* not the kernel */
		}
		text[n] = '\0';
		changed |= uevent_handle(text, n);
	}
	if (changed) {
		disks_scan(d);
		if (stacks_scan(&d->agent->stacks)) {
			identity_stacks_changed(&d->agent->identity);
		}
	}
}

void disks_prepare(struct disks *d)
{
	source_watch(&d->uevents, EPOLLIN);
}

int disks_init(struct disks *d, struct agent *a)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	_cleanup_close_ int fd = -1;

	*d = (struct disks){ .agent = a, .uevents.fd = -1 };
	if (!a->options.apply) {
		return 0;
	}
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		return -errno;
	}
	source_init_take(&d->uevents, &a->loop, TAKE_FD(fd), uevents_ready);
	return 0;
}

void disks_fini(struct disks *d)
{
	source_close(&d->uevents);
}
