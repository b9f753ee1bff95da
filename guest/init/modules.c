/* SPDX-License-Identifier: Apache-2.0 */
/* Loads the initramfs's kernel modules, in the order that the image recipe wrote down. */
#include "modules.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int module_load(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = 0;

	if (fd < 0) {
		return -errno;
	}
	if (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST) {
		r = -errno;
	}
	close(fd);
	return r;
}

int modules_load_list(const char *list)
{
	char line[256];
	FILE *file = fopen(list, "re");

	if (!file) {
		return -errno;
	}
	while (fgets(line, sizeof(line), file)) {
		int r;

		line[strcspn(line, "#\r\n")] = '\0';
		if (line[0] == '\0') {
			continue;
		}
		r = module_load(line);
		if (r < 0) {
			say("module %s: %s, ignoring", line, strerror(-r));
		}
		/* the initramfs stays in memory for as long as the machine runs */
		unlink(line);
	}
	fclose(file);
	return 0;
}
