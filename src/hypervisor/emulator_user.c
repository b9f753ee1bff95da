/* SPDX-License-Identifier: Apache-2.0 */
/* What an emulator needs of its host when it runs as a user of its own. */
#include "emulator_user.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

int emulator_folder_open(const char *folder)
{
	_cleanup_close_ int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0) {
		return errno == ENOENT ? 0 : -errno;
	}
	if (fstat(fd, &st) < 0) {
		return -errno;
	}
	if (!(st.st_mode & S_IXOTH) && fchmod(fd, (st.st_mode | S_IXOTH) & 07777) < 0) {
		return -errno;
	}
	return 0;
}

gid_t emulator_group(const char *device, gid_t own)
{
	struct stat st;

	if (stat(device, &st) < 0 || (st.st_mode & (S_IROTH | S_IWOTH)) == (S_IROTH | S_IWOTH)) {
		return own;
	}
	return (st.st_mode & (S_IRGRP | S_IWGRP)) == (S_IRGRP | S_IWGRP) ? st.st_gid : own;
}
