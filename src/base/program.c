/* SPDX-License-Identifier: Apache-2.0 */
/* Where our other programs are. */
#include "program.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "cleanup.h"
#include "parse.h"

int program_find(const char *name, char **ret)
{
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const struct {
		const char *folder, *below;
	} places[] = {
		{ getenv("DVM_LIBEXEC"), "" },
		{ len > 0 ? self : NULL, "" },
		{ len > 0 ? self : NULL, "/../lib/dvm" },
		{ DVM_LIBEXEC_DIR, "" },
	};

	if (len > 0) {
		self[len] = 0;
		*strrchr(self, '/') = 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		_cleanup_free_ char *path = NULL;

		if (!places[i].folder || !places[i].folder[0]) {
			continue;
		}
		path = strf("%s%s/%s", places[i].folder, places[i].below, name);
		if (!path) {
			return -ENOMEM;
		}
		if (access(path, X_OK) == 0) {
			*ret = TAKE_PTR(path);
			return 0;
		}
	}
	return -ENOENT;
}
