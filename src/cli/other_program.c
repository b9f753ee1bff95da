/* SPDX-License-Identifier: Apache-2.0 */
/* Other programs of the user's, started for him. */
#include "other_program.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "parse.h"

extern char **environ;

bool program_in_path(const char *program)
{
	const char *path = getenv("PATH");

	while (path && *path) {
		size_t len = strcspn(path, ":");
		_cleanup_free_ char *file = strf("%.*s/%s", (int)len, path, program);

		if (file && access(file, X_OK) == 0) {
			return true;
		}
		path += len + (path[len] == ':');
	}
	return false;
}

int program_spawn(char *const *argv, pid_t *ret)
{
	posix_spawnattr_t attributes;
	sigset_t none, ignored;
	int r;

	sigemptyset(&none);
	sigemptyset(&ignored);
	sigaddset(&ignored, SIGPIPE);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &ignored);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	r = -posix_spawnp(ret, argv[0], NULL, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	return r;
}

int program_reap(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, WNOHANG) != pid) {
		return -EAGAIN;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
