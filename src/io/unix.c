/* SPDX-License-Identifier: Apache-2.0 */
/* Unix stream sockets and lock files. */
#include "unix.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "cleanup.h"

#define BACKLOG 256

/* Fills `ret` for `path`. A path that does not fit goes through an fd of its folder, which must
 * stay open in *ret_dir_fd as long as the address is used. */
static int address_make(const char *path, struct sockaddr_un *ret, int *ret_dir_fd)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];
	int n;

	*ret_dir_fd = -1;
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (path[0] == '\0') {
		return -EINVAL;
	}
	if (strlen(path) < sizeof(ret->sun_path)) {
		strcpy(ret->sun_path, path);
		return 0;
	}
	if (!slash || (size_t)(slash - path) >= sizeof(dir)) {
		return -ENAMETOOLONG;
	}
	memcpy(dir, path, slash - path + 1);
	dir[slash - path + 1] = '\0';
	*ret_dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*ret_dir_fd < 0) {
		return -errno;
	}
	n = snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", *ret_dir_fd,
		     slash + 1);
	return n < (int)sizeof(ret->sun_path) ? 0 : -ENAMETOOLONG;
}

static int address_connect(const struct sockaddr_un *address, int *ret_fd)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0) {
		return -errno;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int unix_listen(const char *path, mode_t mode, int *ret_fd)
{
	_cleanup_close_ int dir_fd = -1, probe = -1, fd = -1;
	struct sockaddr_un address;
	int r;

	r = address_make(path, &address, &dir_fd);
	if (r < 0) {
		return r;
	}
	/* Only a socket that nobody listens on is stale: one that answers, or anything but a
	 * socket, stays. */
	r = address_connect(&address, &probe);
	if (r == 0 || r == -EAGAIN) {
		return -EADDRINUSE;
	}
	if (r == -ECONNREFUSED) {
		struct stat st;

		if (lstat(address.sun_path, &st) < 0) {
			return -errno;
		}
		if (!S_ISSOCK(st.st_mode)) {
			return -EEXIST;
		}
		if (unlink(address.sun_path) < 0) {
			return -errno;
		}
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return -errno;
	}
	/* The mode of the unbound socket becomes that of the file, less the umask: never wider than
	 * asked. */
	if (fchmod(fd, mode) < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    chmod(address.sun_path, mode) < 0 || listen(fd, BACKLOG) < 0) {
		return -errno;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int unix_connect(const char *path, int *ret_fd)
{
	_cleanup_close_ int dir_fd = -1;
	struct sockaddr_un address;
	int r;

	r = address_make(path, &address, &dir_fd);
	return r < 0 ? r : address_connect(&address, ret_fd);
}

int unix_accept(int listen_fd, int *ret_fd)
{
	int fd;

	do {
		fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	} while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	if (fd < 0) {
		return -errno;
	}
	*ret_fd = fd;
	return 0;
}

int unix_peer(int fd, pid_t *ret_pid, uid_t *ret_uid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0) {
		return -errno;
	}
	*ret_pid = cred.pid;
	*ret_uid = cred.uid;
	return 0;
}

int unix_pair(int ret_fds[2])
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0) {
		return -errno;
	}
	ret_fds[0] = fds[0];
	ret_fds[1] = fds[1];
	return 0;
}

int pid_lock(const char *path, int *ret_fd)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char text[16];
	int n;

	if (fd < 0) {
		return -errno;
	}
	if (fcntl(fd, F_SETLK, &lock) < 0) {
		return errno == EACCES || errno == EAGAIN ? -EEXIST : -errno;
	}
	n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0) {
		return -errno;
	}
	if (pwrite(fd, text, n, 0) != n) {
		return -EIO;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

pid_t pid_lock_owner(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fd < 0 || fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK) {
		return 0;
	}
	return lock.l_pid;
}
