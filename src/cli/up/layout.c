/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the state folder that the supervisor reads and writes. */
#include "layout.h"

#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cleanup.h"
#include "file.h"
#include "parse.h"
#include "state.h"

#define SMALL_FILE_MAX 65536

extern char **environ;

char *layout_path(const char *state, const char *name)
{
	return strf("%s/%s", state, name);
}

int layout_make(const char *state, struct fault *fault)
{
	/* As root, the gate and the D-VMs are users of their own, who pass through these to what is
	 * theirs. */
	static const struct {
		const char *name;
		bool passed_through;
	} dirs[] = {
		{ "", true },	       { "images", false },   { "recordings", false },
		{ "consoles", false }, { "tls", false },      { "log", false },
		{ "run", true },       { "run/relay", true }, { "run/dvm", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		_cleanup_free_ char *path = layout_path(state, dirs[i].name);
		bool pass = dirs[i].passed_through && geteuid() == 0;
		int r = path ? dir_make(path, 0700) : -ENOMEM;

		if (r == 0 && pass && chmod(path, 0711) < 0) {
			r = -errno;
		}
		if (r < 0) {
			return fault_set(fault, FAULT_BAD_VALUE, "cannot make %s: %s",
					 path ? path : state, strerror(-r));
		}
	}
	return 0;
}

/* First line of a small file. */
static int read_line(const char *state, const char *name, char **ret)
{
	_cleanup_free_ char *path = layout_path(state, name);
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r;

	r = path ? file_read(path, SMALL_FILE_MAX, &text, &len) : -ENOMEM;
	if (r < 0) {
		return r;
	}
	text[strcspn(text, "\r\n")] = '\0';
	*ret = TAKE_PTR(text);
	return 0;
}

/* Runs `dvmd --state DIR --bootstrap-token`, whose first line of output is the token. */
static int run_dvmd(const char *state, char *out, size_t out_max, struct fault *fault)
{
	_cleanup_free_ char *dvmd = NULL;
	_cleanup_fclose_ FILE *f = NULL;
	posix_spawn_file_actions_t actions;
	int fds[2], status = 0, r;
	pid_t pid;

	r = state_program("dvmd", &dvmd, fault);
	if (r < 0) {
		return r;
	}
	if (pipe2(fds, O_CLOEXEC) < 0) {
		return -errno;
	}
	if (posix_spawn_file_actions_init(&actions) != 0) {
		close(fds[0]);
		close(fds[1]);
		return -ENOMEM;
	}
	r = posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
	if (r == 0) {
		char *const argv[] = { dvmd, "--state", (char *)state, "--bootstrap-token", NULL };

		r = posix_spawn(&pid, dvmd, &actions, NULL, argv, environ);
	}
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	f = fdopen(fds[0], "r");
	if (!f) {
		close(fds[0]);
		r = r ? r : ENOMEM;
	}
	if (r != 0) {
		return fault_set(fault, FAULT_INTERNAL, "cannot start dvmd: %s", strerror(r));
	}
	out[0] = '\0';
	if (!fgets(out, (int)out_max, f)) {
		out[0] = '\0';
	}
	out[strcspn(out, "\r\n")] = '\0';
	if (waitpid(pid, &status, 0) < 0 || status != 0 || out[0] == '\0') {
		return fault_set(fault, FAULT_INTERNAL, "dvmd could not make a first token");
	}
	return 0;
}

int layout_bootstrap_token(const char *state, struct fault *fault)
{
	_cleanup_free_ char *path = layout_path(state, "admin.token");
	_cleanup_free_ char *store = layout_path(state, "store.sqlite");
	_cleanup_free_ char *token = NULL;
	char line[512];
	int r;

	if (!path || !store) {
		return -ENOMEM;
	}
	/* A token without the store it was kept in is worth nothing. */
	if (access(store, F_OK) == 0 && read_line(state, "admin.token", &token) == 0 && token[0]) {
		return 0;
	}
	r = run_dvmd(state, line, sizeof(line) - 1, fault);
	if (r < 0) {
		return r;
	}
	strcat(line, "\n");
	r = file_write_atomic(path, line, strlen(line), 0600);
	explicit_bzero(line, sizeof(line));
	return r < 0 ? fault_set(fault, FAULT_DISK_FULL, "cannot write %s: %s", path, strerror(-r))
		     : 0;
}

int layout_write_up(const char *state, const struct layout_up *up, struct fault *fault)
{
	_cleanup_free_ char *path = layout_path(state, "run/up.json");
	_cleanup_free_ char *text = NULL;
	json_t *j = json_pack("{s:s*, s:s, s:s*, s:s*}", "url", up->url, "uri", up->uri, "listen",
			      up->listen, "ssh", up->ssh);
	int r;

	text = j ? json_dumps(j, JSON_COMPACT) : NULL;
	json_decref(j);
	if (!path || !text) {
		return -ENOMEM;
	}
	r = file_write_atomic(path, text, strlen(text), 0600);
	return r < 0 ? fault_set(fault, FAULT_DISK_FULL, "cannot write %s: %s", path, strerror(-r))
		     : 0;
}

int layout_read_up(const char *state, struct layout_up *ret)
{
	_cleanup_free_ char *path = layout_path(state, "run/up.json");
	_cleanup_free_ char *text = NULL;
	struct layout_up up = { 0 };
	const char *url = NULL, *uri = NULL, *listen = NULL, *ssh = NULL;
	size_t len;
	json_t *j;
	int r;

	r = path ? file_read(path, SMALL_FILE_MAX, &text, &len) : -ENOMEM;
	if (r < 0) {
		return r;
	}
	j = json_loadb(text, len, 0, NULL);
	if (!j || json_unpack(j, "{s?s, s:s, s?s, s?s}", "url", &url, "uri", &uri, "listen",
			      &listen, "ssh", &ssh) < 0) {
		json_decref(j);
		return -ENOENT;
	}
	up.url = url ? strdup(url) : NULL;
	up.uri = strdup(uri);
	up.listen = listen ? strdup(listen) : NULL;
	up.ssh = ssh ? strdup(ssh) : NULL;
	json_decref(j);
	if ((url && !up.url) || !up.uri || (listen && !up.listen) || (ssh && !up.ssh)) {
		layout_up_fini(&up);
		return -ENOMEM;
	}
	*ret = up;
	return 0;
}

void layout_up_fini(struct layout_up *up)
{
	free(up->url);
	free(up->uri);
	free(up->listen);
	free(up->ssh);
	*up = (struct layout_up){ 0 };
}

int layout_config(const char *state, const struct layout_up *up, struct config *ret,
		  struct fault *fault)
{
	struct config c = { 0 };
	int r;

	c.url = up->url ? strdup(up->url) : NULL;
	r = c.url ? read_line(state, "admin.token", &c.token) : -ENOENT;
	if (r == 0) {
		r = read_line(state, "tls/gate.pin", &c.pin);
	}
	if (r < 0) {
		config_fini(&c);
		return fault_set(fault, FAULT_INTERNAL, "the state folder is incomplete: %s",
				 strerror(-r));
	}
	*ret = c;
	return 0;
}

static void print_export(const char *name, const char *value)
{
	printf("export %s='", name);
	for (; *value; value++) {
		fputs(*value == '\'' ? "'\\''" : (const char[]){ *value, '\0' }, stdout);
	}
	puts("'");
}

int layout_print_environment(const char *state, const struct layout_up *up, bool as_json,
			     struct fault *fault)
{
	struct config c = { 0 };
	bool libvirt = strncmp(up->uri, "fake:", 5) != 0;
	_cleanup_free_ char *host_key = NULL;
	json_t *j;
	int r;

	r = layout_config(state, up, &c, fault);
	if (r < 0) {
		return r;
	}
	if (up->ssh) {
		r = read_line(state, "door/host_key.pub", &host_key);
		if (r < 0) {
			config_fini(&c);
			return fault_set(fault, FAULT_INTERNAL, "the SSH door has no key: %s",
					 strerror(-r));
		}
	}
	if (as_json) {
		j = json_pack("{s:s, s:s, s:s, s:s*, s:s, s:s*, s:s*}", "DVM_URL", c.url,
			      "DVM_TOKEN", c.token, "DVM_PIN", c.pin, "LIBVIRT_DEFAULT_URI",
			      libvirt ? up->uri : NULL, "DVM_STATE", state, "DVM_SSH", up->ssh,
			      "DVM_SSH_HOST_KEY", host_key);
		if (!j || json_dumpf(j, stdout, JSON_INDENT(2)) < 0) {
			r = -ENOMEM;
		}
		putchar('\n');
		json_decref(j);
	} else {
		print_export("DVM_URL", c.url);
		print_export("DVM_TOKEN", c.token);
		print_export("DVM_PIN", c.pin);
		if (libvirt) {
			print_export("LIBVIRT_DEFAULT_URI", up->uri);
		}
		print_export("DVM_STATE", state);
		if (up->ssh) {
			print_export("DVM_SSH", up->ssh);
			print_export("DVM_SSH_HOST_KEY", host_key);
		}
	}
	config_fini(&c);
	return r == 0 && fflush(stdout) == EOF ? -EIO : r;
}
