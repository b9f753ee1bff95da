/* SPDX-License-Identifier: Apache-2.0 */
/* The user's SSH key for D-VMs. */
#include "ssh_key.h"

#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "config.h"
#include "file.h"
#include "parse.h"

extern char **environ;

static int read_public(const char *path, char **ret, struct fault *fault)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r;

	r = file_read(path, SSH_KEY_MAX, &text, &len);
	if (r < 0) {
		return fault_set(fault, FAULT_BAD_VALUE, "cannot read the public key %s: %s", path,
				 strerror(-r));
	}
	text[strcspn(text, "\r\n")] = '\0';
	if (strstr(text, "PRIVATE KEY") || !strchr(text, ' ')) {
		fault_set(fault, FAULT_BAD_VALUE, "%s is not a public key", path);
		fault_hint(
			fault,
			"name the private key's file, with FILE.pub beside it, or FILE.pub itself");
		return -EREMOTEIO;
	}
	*ret = TAKE_PTR(text);
	return 0;
}

static int own_key_path(char **ret, struct fault *fault)
{
	_cleanup_free_ char *dir = NULL;
	int r;

	r = config_dir(&dir, fault);
	if (r < 0) {
		return r;
	}
	*ret = strf("%s/id_ed25519", dir);
	return *ret ? 0 : -ENOMEM;
}

static int make_key(const char *path, struct fault *fault)
{
	char *const argv[] = { "ssh-keygen", "-q",  "-t", "ed25519",	"-N", "",
			       "-C",	     "dvm", "-f", (char *)path, NULL };
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int status = 0, r;

	if (posix_spawn_file_actions_init(&actions) != 0) {
		return -ENOMEM;
	}
	r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (r == 0) {
		r = posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
	}
	if (r == 0) {
		r = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	}
	posix_spawn_file_actions_destroy(&actions);
	if (r != 0 || waitpid(pid, &status, 0) < 0 || status != 0) {
		fault_set(fault, FAULT_INTERNAL, "cannot make an SSH key with ssh-keygen");
		fault_hint(fault, "install OpenSSH's client, or name a key with --key");
		return -EREMOTEIO;
	}
	return 0;
}

/* ~/.ssh/id_ed25519, or NULL without HOME. */
static char *users_key_path(void)
{
	const char *home = getenv("HOME");

	return home && home[0] == '/' ? strf("%s/.ssh/id_ed25519", home) : NULL;
}

static int from_identity(char *identity_take, char **ret_public, char **ret_identity,
			 struct fault *fault)
{
	_cleanup_free_ char *identity = identity_take;
	_cleanup_free_ char *public = strf("%s.pub", identity);
	int r;

	if (!public) {
		return -ENOMEM;
	}
	r = read_public(public, ret_public, fault);
	if (r < 0) {
		return r;
	}
	*ret_identity = access(identity, R_OK) == 0 ? TAKE_PTR(identity) : NULL;
	return 0;
}

int ssh_key_for_session(const char *file, char **ret_public, char **ret_identity,
			struct fault *fault)
{
	_cleanup_free_ char *own = NULL;
	char *path;
	int r;

	if (file) {
		size_t len = strlen(file);

		path = len > 4 && strcmp(file + len - 4, ".pub") == 0 ? strndup(file, len - 4)
								      : strdup(file);
		return path ? from_identity(path, ret_public, ret_identity, fault) : -ENOMEM;
	}
	path = users_key_path();
	if (path) {
		_cleanup_free_ char *public = strf("%s.pub", path);

		if (public && access(public, R_OK) == 0) {
			return from_identity(path, ret_public, ret_identity, fault);
		}
		free(path);
	}
	r = own_key_path(&own, fault);
	if (r < 0) {
		return r;
	}
	if (access(own, R_OK) < 0) {
		r = make_key(own, fault);
		if (r < 0) {
			return r;
		}
	}
	return from_identity(TAKE_PTR(own), ret_public, ret_identity, fault);
}

int ssh_key_identities(char *ret[SSH_IDENTITIES_MAX + 1], struct fault *fault)
{
	_cleanup_free_ char *users = users_key_path();
	_cleanup_free_ char *own = NULL;
	size_t n = 0;
	int r;

	r = own_key_path(&own, fault);
	if (r < 0) {
		return r;
	}
	if (users && access(users, R_OK) == 0) {
		ret[n++] = TAKE_PTR(users);
	}
	if (access(own, R_OK) == 0) {
		ret[n++] = TAKE_PTR(own);
	}
	ret[n] = NULL;
	return 0;
}
