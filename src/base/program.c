/* SPDX-License-Identifier: Apache-2.0 */
/* Where our other programs are. */
#include "program.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "cleanup.h"
#include "parse.h"

int program_folder(const char *name, char **ret)
{
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *const folders[] = { getenv("DVM_LIBEXEC"), len > 0 ? self : NULL,
					DVM_LIBEXEC_DIR };

	if (len > 0) {
		self[len] = 0;
		*strrchr(self, '/') = 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		_cleanup_free_ char *path = NULL;

		if (!folders[i] || !folders[i][0]) {
			continue;
		}
		path = strf("%s/%s", folders[i], name);
		if (!path) {
			return -ENOMEM;
		}
		if (access(path, X_OK) == 0) {
			*ret = strdup(folders[i]);
			return *ret ? 0 : -ENOMEM;
		}
	}
	return -ENOENT;
}
