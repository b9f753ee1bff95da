/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a rotated log, in the order they were written in.
 *
 * Theory of operation: virtlogd renames from the oldest to the newest (PATH.1 to PATH.2, PATH.0 to
 * PATH.1, PATH to PATH.0), then makes a new PATH; a file that has been renamed is complete. They
 * are opened from the newest to the oldest, so a rotation meanwhile moves files towards us: one may
 * be met twice, none is passed over. What may be missed is the new PATH, and an end may be seen
 * where a name has just been vacated: so PATH must be the same at the end, and what was not found
 * is looked for again.
 */
#include "log_chain.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "parse.h"

#define ATTEMPTS 50
#define ATTEMPTS_TO_FIND 3
#define PAUSE_MS 20

static int file_open(const char *path, struct stat *st, int *ret_fd)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, st) < 0) {
		return -errno;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static void chain_reverse(struct log_chain *chain)
{
	for (size_t i = 0; i < chain->n_fds / 2; i++) {
		int fd = chain->fds[i];

		chain->fds[i] = chain->fds[chain->n_fds - 1 - i];
		chain->fds[chain->n_fds - 1 - i] = fd;
	}
}

/* One pass from the newest to the oldest. */
static int chain_collect(const char *path, uint64_t device, uint64_t inode, struct log_chain *chain)
{
	struct stat newest = { 0 }, last = { 0 }, now;
	int r = 0;

	for (unsigned i = 0; chain->n_fds < LOG_CHAIN_MAX && !chain->known; i++) {
		_cleanup_free_ char *older = i > 0 ? strf("%s.%u", path, i - 1) : strdup(path);
		_cleanup_close_ int fd = -1;
		struct stat st;

		r = older ? file_open(older, &st, &fd) : -ENOMEM;
		if (r < 0) {
			break;
		}
		if (i > 0 && same_file(&st, &last)) {
			continue; /* it was renamed meanwhile */
		}
		if (i == 0) {
			newest = st;
		}
		last = st;
		chain->fds[chain->n_fds++] = TAKE_FD(fd);
		chain->known = st.st_dev == device && st.st_ino == inode;
		if (inode == 0) {
			break;
		}
	}
	if (chain->n_fds == 0 || (r < 0 && r != -ENOENT)) {
		return r;
	}
	chain_reverse(chain);
	return stat(path, &now) == 0 && same_file(&now, &newest) ? 0 : -EAGAIN;
}

int log_chain_open(const char *path, uint64_t device, uint64_t inode, struct log_chain *ret)
{
	int r = -EAGAIN;

	for (unsigned i = 0; i < ATTEMPTS; i++) {
		struct log_chain chain = { 0 };

		r = chain_collect(path, device, inode, &chain);
		if (r == 0 && (chain.known || inode == 0 || i + 1 >= ATTEMPTS_TO_FIND)) {
			*ret = chain;
			return 0;
		}
		log_chain_fini(&chain);
		if (r < 0 && r != -EAGAIN && r != -ENOENT) {
			break;
		}
		usleep(PAUSE_MS * 1000);
	}
	return r;
}

void log_chain_fini(struct log_chain *chain)
{
	while (chain->n_fds > 0) {
		close_fd(chain->fds[--chain->n_fds]);
	}
}
