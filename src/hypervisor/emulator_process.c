/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process of a running domain.
 *
 * Its number may go to another process at any moment: it is opened as a folder of /proc first,
 * which stays that process's, and all else is looked at and opened below that.
 */
#include "emulator_process.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "cleanup.h"
#include "file.h"
#include "parse.h"

#define ARGUMENTS_MAX (1 << 20)

static int pid_read(const char *run_folder, const char *name, uint32_t *ret)
{
	_cleanup_free_ char *path = strf("%s/%s.pid", run_folder, name);
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r;

	if (!path) {
		return -ENOMEM;
	}
	/* libvirt lets no name in that has a slash in it */
	r = strchr(name, '/') ? -EINVAL : file_read(path, 32, &text, &len);
	if (r == 0) {
		text[strcspn(text, "\n")] = 0;
		r = parse_u32(text, ret);
	}
	return r;
}

/* Whether its arguments have "-uuid UUID". */
static bool is_domain(int folder, const char *uuid)
{
	_cleanup_free_ char *text = malloc(ARGUMENTS_MAX + 1);
	_cleanup_close_ int fd = openat(folder, "cmdline", O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	bool option = false;

	if (fd < 0 || !text) {
		return false;
	}
	while (len < ARGUMENTS_MAX) {
		ssize_t n = read(fd, text + len, ARGUMENTS_MAX - len);

		if (n <= 0) {
			break;
		}
		len += (size_t)n;
	}
	text[len] = 0;
	for (size_t at = 0; at < len; at += strlen(text + at) + 1) {
		if (option && strcmp(text + at, uuid) == 0) {
			return true;
		}
		option = strcmp(text + at, "-uuid") == 0;
	}
	return false;
}

int emulator_memory_open(const char *run_folder, const char *name, const char *uuid, int *ret_fd)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int folder = -1;
	uint32_t pid;
	int fd, r = pid_read(run_folder, name, &pid);

	if (r < 0) {
		return r;
	}
	path = strf("/proc/%u", pid);
	if (!path) {
		return -ENOMEM;
	}
	folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0) {
		return -errno;
	}
	if (!is_domain(folder, uuid)) {
		return -ENOENT;
	}
	fd = openat(folder, "mem", O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	*ret_fd = fd;
	return 0;
}
