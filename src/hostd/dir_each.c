/* SPDX-License-Identifier: Apache-2.0 */
/* The folders of RUN are lists. */
#include "dir_each.h"

#include <dirent.h>
#include <errno.h>

int dir_each(const char *path, bool (*valid)(const char *), int (*fn)(const char *name, void *user),
	     void *user)
{
	const struct dirent *entry;
	DIR *dir = opendir(path);
	int r = 0;

	if (!dir) {
		return errno == ENOENT ? 0 : -errno;
	}
	while (r == 0 && (entry = readdir(dir))) {
		if (valid(entry->d_name)) {
			r = fn(entry->d_name, user);
		}
	}
	closedir(dir);
	return r;
}
