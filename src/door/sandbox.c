/* SPDX-License-Identifier: Apache-2.0 */
/* What a login gives up. */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "macro.h"

#define READ_RUN                                                                                   \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* Of a file: what asks for a folder's rights is refused for it. */
#define READ_WRITE (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE)
#define ALL_OF_VERSION_1 ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)

static int allow(int rules, const char *path, uint64_t access)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = { .allowed_access = access, .parent_fd = fd };

	if (fd < 0) {
		return errno == ENOENT ? 0 : -errno;
	}
	return syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0
		       ? -errno
		       : 0;
}

static int close_files(const char *dvm)
{
	static const char *const system[] = { "/usr", "/lib", "/lib64", "/bin", "/etc" };
	struct landlock_ruleset_attr attr = { .handled_access_fs = ALL_OF_VERSION_1 };
	_cleanup_free_ char *copy = strdup(dvm);
	_cleanup_close_ int rules =
		(int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	int r = 0;

	if (rules < 0) {
		return -errno;
	}
	for (size_t i = 0; i < ARRAY_SIZE(system) && r == 0; i++) {
		r = allow(rules, system[i], READ_RUN);
	}
	if (r == 0) {
		r = allow(rules, "/dev/null", READ_WRITE);
	}
	if (r == 0) {
		r = allow(rules, "/dev/urandom", LANDLOCK_ACCESS_FS_READ_FILE);
	}
	if (r == 0) {
		r = copy ? allow(rules, dirname(copy), READ_RUN) : -ENOMEM;
	}
	if (r < 0) {
		return r;
	}
	return syscall(SYS_landlock_restrict_self, rules, 0) < 0 ? -errno : 0;
}

int sandbox_enter(const char *dvm)
{
	const struct rlimit none = { 0, 0 };
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
	    setrlimit(RLIMIT_CORE, &none) < 0) {
		return -errno;
	}
	/* A sanitizer's own work at exit looks into /proc. */
	r = SANITIZED ? 0 : close_files(dvm);
	/* Not built in, or not switched on. */
	return r == -ENOSYS || r == -EOPNOTSUPP ? 0 : r;
}
