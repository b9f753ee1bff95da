/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of a guest.
 *
 * Its emulator's process is opened as a folder of /proc first, which stays that process's, and
 * looked at and into below that. A page is written by nobody while the domain is paused, and a
 * hole in its place reads as the same zeroes.
 */
#include "emulator_ram.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "file.h"
#include "parse.h"

#define PAGE_BYTES 4096
#define ARGUMENTS_MAX 65536
#define FDS_MAX 1024

static bool page_is_zero(const uint8_t *page)
{
	return page[0] == 0 && memcmp(page, page + 1, PAGE_BYTES - 1) == 0;
}

static int punch(int fd, off_t from, off_t to)
{
	if (from < to &&
	    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, to - from) < 0) {
		return -errno;
	}
	return 0;
}

int ram_file_trim(int fd, uint64_t size_bytes)
{
	const uint8_t *bytes = mmap(NULL, size_bytes, PROT_READ, MAP_SHARED, fd, 0);
	off_t at = 0, end = 0;
	int r = bytes == MAP_FAILED ? -errno : 0;

	/* Only what is there: looking at a hole would fill it. */
	while (r == 0 && (at = lseek(fd, end, SEEK_DATA)) >= 0) {
		off_t zeroes;

		end = lseek(fd, at, SEEK_HOLE);
		for (zeroes = at; r == 0 && at < end; at += PAGE_BYTES) {
			if (!page_is_zero(bytes + at)) {
				r = punch(fd, zeroes, at);
				zeroes = at + PAGE_BYTES;
			}
		}
		if (r == 0) {
			r = punch(fd, zeroes, end);
		}
	}
	if (bytes != MAP_FAILED) {
		munmap((void *)bytes, size_bytes);
	}
	return r;
}

/* Whether its arguments have "-name guest=NAME,…". */
static bool is_domain(int folder, const char *name)
{
	_cleanup_free_ char *text = malloc(ARGUMENTS_MAX + 1);
	_cleanup_free_ char *wanted = strf("guest=%s,", name);
	_cleanup_close_ int fd = openat(folder, "cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 || !text || !wanted ? -1 : read(fd, text, ARGUMENTS_MAX);

	if (len < 0) {
		return false;
	}
	text[len] = 0;
	for (ssize_t at = 0; at < len; at += (ssize_t)strlen(text + at) + 1) {
		if (strncmp(text + at, wanted, strlen(wanted)) == 0) {
			return true;
		}
	}
	return false;
}

static int process_open(const char *run_folder, const char *name, int *ret_folder)
{
	_cleanup_free_ char *pid_path = strf("%s/%s.pid", run_folder, name);
	_cleanup_free_ char *text = NULL, *path = NULL;
	_cleanup_close_ int folder = -1;
	uint32_t pid;
	size_t len;
	int r = pid_path ? file_read(pid_path, 32, &text, &len) : -ENOMEM;

	if (r < 0) {
		return r;
	}
	text[strcspn(text, "\n")] = 0;
	r = parse_u32(text, &pid);
	path = r == 0 ? strf("/proc/%u", pid) : NULL;
	if (!path) {
		return r < 0 ? r : -ENOMEM;
	}
	folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0) {
		return -errno;
	}
	if (!is_domain(folder, name)) {
		return -ENOENT;
	}
	*ret_folder = TAKE_FD(folder);
	return 0;
}

/* The file of that size that is in memory only. */
static int ram_open(int folder, uint64_t size_bytes)
{
	for (unsigned i = 0; i < FDS_MAX; i++) {
		char path[32], to[64];
		struct stat st;
		ssize_t n;
		int fd;

		snprintf(path, sizeof(path), "fd/%u", i);
		n = readlinkat(folder, path, to, sizeof(to) - 1);
		if (n < 7 || strncmp(to, "/memfd:", 7) != 0) {
			continue;
		}
		fd = openat(folder, path, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && fstat(fd, &st) == 0 && (uint64_t)st.st_size == size_bytes) {
			return fd;
		}
		close_fd(fd);
	}
	return -ENOENT;
}

int emulator_ram_trim(const char *run_folder, const char *name, uint64_t size_bytes)
{
	_cleanup_close_ int folder = -1, fd = -1;
	int r = strchr(name, '/') ? -EINVAL : process_open(run_folder, name, &folder);

	if (r < 0) {
		return r;
	}
	fd = ram_open(folder, size_bytes);
	return fd < 0 ? fd : ram_file_trim(fd, size_bytes);
}
