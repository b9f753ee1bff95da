/* SPDX-License-Identifier: Apache-2.0 */
/* The files of consoles' scrollback. See ring_file.h. */
#include "ring_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "file.h"
#include "parse.h"
#include "ring.h"

static char *ring_path(const struct hostd *h, const char *vm, const char *name)
{
	return strf("%s/consoles/%s/%s", h->state, vm, name);
}

/* 0 where there is none. */
static uint64_t size_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
}

int ring_files_open(const struct hostd *h, const char *vm, bool second, struct ring_files *ret)
{
	_cleanup_free_ char *folder = ring_path(h, vm, ""), *path = ring_path(h, vm, "ring"),
			    *next_path = ring_path(h, vm, "ring.new");
	_cleanup_close_ int fd = -1, next_fd = -1;
	uint64_t size;
	int r;

	if (!folder || !path || !next_path) {
		return -ENOMEM;
	}
	r = dir_make(folder, 0700);
	if (r < 0) {
		return r;
	}
	size = size_of(path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		return -errno;
	}
	if (second || access(next_path, F_OK) == 0 ||
	    (size != 0 && size != RING_HEADER_BYTES + h->config.scrollback_bytes)) {
		next_fd = open(next_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (next_fd < 0) {
			return -errno;
		}
	}
	*ret = (struct ring_files){ .fd = TAKE_FD(fd), .next_fd = TAKE_FD(next_fd) };
	return 0;
}

int ring_files_settle(const struct hostd *h, const char *vm, bool next)
{
	_cleanup_free_ char *path = ring_path(h, vm, "ring"),
			    *next_path = ring_path(h, vm, "ring.new");
	int r;

	if (!path || !next_path) {
		return -ENOMEM;
	}
	r = next ? rename(next_path, path) : unlink(next_path);
	return r < 0 && errno != ENOENT ? -errno : 0;
}

int ring_files_settle_by_size(const struct hostd *h, const char *vm, uint64_t kept_bytes)
{
	_cleanup_free_ char *path = ring_path(h, vm, "ring"),
			    *next_path = ring_path(h, vm, "ring.new");
	uint64_t bytes = RING_HEADER_BYTES + kept_bytes;

	if (!path || !next_path) {
		return -ENOMEM;
	}
	return ring_files_settle(h, vm, size_of(next_path) == bytes && size_of(path) != bytes);
}
