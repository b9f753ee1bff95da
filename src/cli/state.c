/* SPDX-License-Identifier: Apache-2.0 */
/* The state folder, and where dvm's other programs are. */
#include "state.h"

#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "parse.h"
#include "program.h"

int state_dir(const char *option, char **ret, struct fault *fault)
{
	const char *env = getenv("DVM_STATE"), *xdg = getenv("XDG_STATE_HOME"),
		   *home = getenv("HOME");
	_cleanup_free_ char *dir = NULL;
	_cleanup_free_ char *cwd = NULL;

	if (option || (env && env[0])) {
		const char *given = option ? option : env;

		if (given[0] == '/') {
			dir = strdup(given);
		} else if (given[0] == '\0') {
			return fault_set(fault, FAULT_BAD_VALUE, "the state folder has no name");
		} else {
			cwd = getcwd(NULL, 0);
			dir = cwd ? strf("%s/%s", cwd, given) : NULL;
		}
	} else if (geteuid() == 0) {
		dir = strdup("/var/lib/dvm");
	} else if (xdg && xdg[0] == '/') {
		dir = strf("%s/dvm", xdg);
	} else if (home && home[0] == '/') {
		dir = strf("%s/.local/state/dvm", home);
	} else {
		return fault_set(fault, FAULT_BAD_REQUEST,
				 "HOME is not set; name a folder with --state");
	}
	if (!dir) {
		return -ENOMEM;
	}
	for (size_t len = strlen(dir); len > 1 && dir[len - 1] == '/'; len--) {
		dir[len - 1] = '\0';
	}
	*ret = TAKE_PTR(dir);
	return 0;
}

int state_program(const char *name, char **ret, struct fault *fault)
{
	int r = program_find(name, ret);

	if (r == -ENOENT) {
		fault_set(fault, FAULT_NOT_SUPPORTED, "%s is not installed", name);
		fault_hint(fault, "set DVM_LIBEXEC to the folder where dvm's programs are");
		return -EREMOTEIO;
	}
	return r;
}
