/* SPDX-License-Identifier: Apache-2.0 */
/* Whole small files, atomically. */
#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "parse.h"

#define COPY_BYTES ((size_t)1 << 30)

#define DIR_DEPTH_MAX 64

DEFINE_CLEANUP(DIR *, closedir);

int file_read(const char *path, size_t max_bytes, char **ret, size_t *ret_len)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_close_ int fd = -1;
	size_t len = 0, cap = 0;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	/* The size is not asked for beforehand: files of /proc and /sys say 0. */
	for (;;) {
		ssize_t n;

		if (len + 1 >= cap) {
			char *more = realloc(text, cap ? cap * 2 : 4096);

			if (!more) {
				return -ENOMEM;
			}
			text = more;
			cap = cap ? cap * 2 : 4096;
		}
		n = read(fd, text + len, cap - len - 1);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return -errno;
		}
		if (n == 0) {
			break;
		}
		len += (size_t)n;
		if (len > max_bytes) {
			return -EFBIG;
		}
	}
	text[len] = '\0';
	*ret = TAKE_PTR(text);
	if (ret_len) {
		*ret_len = len;
	}
	return 0;
}

int write_all(int fd, const void *p, size_t len)
{
	const uint8_t *at = p;

	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0) {
			if (errno == EINTR) {
				continue;
			}
			return -errno;
		}
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_set_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		return -errno;
	}
	return 0;
}

/* The folder `path` stands in: "." for a bare name. */
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash) {
		return strdup(".");
	}
	return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

static int fsync_folder_of(const char *path)
{
	_cleanup_free_ char *folder = folder_of(path);
	_cleanup_close_ int fd = -1;

	if (!folder) {
		return -ENOMEM;
	}
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0) {
		return -errno;
	}
	return 0;
}

static int fill_and_rename(int fd, const char *temp, const char *path, const void *p, size_t len,
			   mode_t mode)
{
	int r = write_all(fd, p, len);

	if (r < 0) {
		return r;
	}
	if (fchmod(fd, mode) < 0 || fsync(fd) < 0 || rename(temp, path) < 0) {
		return -errno;
	}
	return 0;
}

int file_write_atomic(const char *path, const void *p, size_t len, mode_t mode)
{
	_cleanup_free_ char *temp = strf("%s.XXXXXX", path);
	_cleanup_close_ int fd = -1;
	int r;

	if (!temp) {
		return -ENOMEM;
	}
	fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	r = fill_and_rename(fd, temp, path, p, len, mode);
	if (r < 0) {
		unlink(temp);
		return r;
	}
	return fsync_folder_of(path);
}

static int mkdir_if_missing(const char *path, mode_t mode)
{
	struct stat st;

	if (mkdir(path, mode) == 0) {
		return 0;
	}
	if (errno != EEXIST) {
		return -errno;
	}
	if (stat(path, &st) < 0) {
		return -errno;
	}
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int file_copy(int from, int to)
{
	for (;;) {
		ssize_t n = copy_file_range(from, NULL, to, NULL, COPY_BYTES, 0);

		if (n < 0 &&
		    (errno == EXDEV || errno == EOPNOTSUPP || errno == EINVAL || errno == ENOSYS)) {
			n = sendfile(to, from, NULL, COPY_BYTES);
		}
		if (n <= 0) {
			return n < 0 ? -errno : 0;
		}
	}
}

int dir_make(const char *path, mode_t mode)
{
	_cleanup_free_ char *part = strdup(path);

	if (!part) {
		return -ENOMEM;
	}
	for (char *slash = strchr(part + (*part == '/'), '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		int r;

		*slash = '\0';
		r = mkdir_if_missing(part, mode);
		if (r < 0) {
			return r;
		}
		*slash = '/';
	}
	return mkdir_if_missing(path, mode);
}

static int remove_entries(int dir_fd, const char *name, unsigned depth);

static int remove_entry(int dir_fd, const char *name, unsigned depth)
{
	int r;

	if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT) {
		return 0;
	}
	if (errno != EISDIR && errno != EPERM) {
		return -errno;
	}
	r = remove_entries(dir_fd, name, depth + 1);
	if (r < 0) {
		return r;
	}
	return unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -errno;
}

/* All that is in the folder `name`; links are entries like any other and never followed. */
static int remove_entries(int dir_fd, const char *name, unsigned depth)
{
	_cleanup_close_ int fd = -1;
	_cleanup_(closedirp) DIR *dir = NULL;
	struct dirent *entry;

	if (depth > DIR_DEPTH_MAX) {
		return -ELOOP;
	}
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	dir = fdopendir(fd);
	if (!dir) {
		return -errno;
	}
	fd = -1;
	while (errno = 0, entry = readdir(dir)) {
		int r;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
			continue;
		}
		r = remove_entry(dirfd(dir), entry->d_name, depth);
		if (r < 0) {
			return r;
		}
	}
	return -errno;
}

int dir_remove(const char *path)
{
	int r = remove_entries(AT_FDCWD, path, 0);

	if (r == -ENOENT) {
		return 0;
	}
	if (r < 0) {
		return r;
	}
	return rmdir(path) == 0 || errno == ENOENT ? 0 : -errno;
}
