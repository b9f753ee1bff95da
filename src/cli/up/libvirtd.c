/* SPDX-License-Identifier: Apache-2.0 */
/* A libvirt daemon of our own, for machines where none answers. */
#include "libvirtd.h"

#include <string.h>

#include "cleanup.h"
#include "file.h"
#include "layout.h"
#include "parse.h"
#include "unix.h"

/* Owner root may use it, nobody else; no network. */
static const char config_text[] = "listen_tls = 0\n"
				  "listen_tcp = 0\n"
				  "auth_unix_ro = \"none\"\n"
				  "auth_unix_rw = \"none\"\n"
				  "unix_sock_ro_perms = \"0700\"\n"
				  "unix_sock_rw_perms = \"0700\"\n"
				  "log_outputs = \"3:stderr\"\n";

static const char log_config_text[] = "log_outputs = \"3:stderr\"\n";

const char *libvirtd_default_uri(void)
{
	return geteuid() == 0 ? "qemu:///system" : "qemu:///session";
}

/* A daemon's program, which is often not in a user's PATH. */
static int find_daemon(const char *name, char **ret, struct fault *fault)
{
	static const char *const dirs[] = { "/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin" };

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		_cleanup_free_ char *path = strf("%s/%s", dirs[i], name);

		if (!path) {
			return -ENOMEM;
		}
		if (access(path, X_OK) == 0) {
			*ret = TAKE_PTR(path);
			return 0;
		}
	}
	fault_set(fault, FAULT_HYPERVISOR_AWAY,
		  "no libvirt daemon answers, and %s is not installed", name);
	fault_hint(fault,
		   "install libvirt-daemon-system and qemu-system-x86, or start libvirt's daemon");
	return -EREMOTEIO;
}

/* libvirt's runtime folder: /run/libvirt, or that of the user's session. */
static char *runtime_dir(void)
{
	const char *run = getenv("XDG_RUNTIME_DIR"), *cache = getenv("XDG_CACHE_HOME"),
		   *home = getenv("HOME");

	if (geteuid() == 0) {
		return strdup("/run/libvirt");
	}
	if (run && run[0] == '/') {
		return strf("%s/libvirt", run);
	}
	if (cache && cache[0] == '/') {
		return strf("%s/libvirt", cache);
	}
	return strf("%s/.cache/libvirt", home ? home : "");
}

static bool answers(const char *socket)
{
	_cleanup_close_ int fd = -1;

	return unix_connect(socket, &fd) == 0;
}

int libvirtd_plan(const char *state, struct libvirtd_plan *ret, struct fault *fault)
{
	struct libvirtd_plan p = { 0 };
	_cleanup_free_ char *dir = runtime_dir();
	int r = 0;

	p.socket = dir ? strf("%s/libvirt-sock", dir) : NULL;
	p.log_socket = dir ? strf("%s/virtlogd-sock", dir) : NULL;
	p.config = layout_path(state, "run/libvirtd.conf");
	p.log_config = layout_path(state, "run/virtlogd.conf");
	p.pid_file = layout_path(state, "run/libvirtd.pid");
	p.log_pid_file = layout_path(state, "run/virtlogd.pid");
	if (!p.socket || !p.log_socket || !p.config || !p.log_config || !p.pid_file ||
	    !p.log_pid_file) {
		r = -ENOMEM;
	}
	if (r == 0) {
		p.foreign = answers(p.socket) && pid_lock_owner(p.pid_file) == 0;
	}
	/* libvirtd needs virtlogd to start a VM. An ordinary user's would start one by itself, that
	 * nobody ends. */
	if (r == 0 && (!answers(p.log_socket) || pid_lock_owner(p.log_pid_file) != 0)) {
		r = find_daemon("virtlogd", &p.log_program, fault);
		if (r == 0) {
			r = file_write_atomic(p.log_config, log_config_text,
					      strlen(log_config_text), 0600);
		}
	}
	if (r == 0 && !p.foreign) {
		r = find_daemon("libvirtd", &p.program, fault);
		if (r == 0) {
			r = file_write_atomic(p.config, config_text, strlen(config_text), 0600);
		}
		if (r == 0) {
			r = file_write_atomic(p.log_config, log_config_text,
					      strlen(log_config_text), 0600);
		}
	}
	if (r < 0) {
		libvirtd_plan_fini(&p);
		return r;
	}
	*ret = p;
	return 0;
}

void libvirtd_plan_fini(struct libvirtd_plan *p)
{
	free(p->program);
	free(p->log_program);
	free(p->socket);
	free(p->log_socket);
	free(p->config);
	free(p->log_config);
	free(p->pid_file);
	free(p->log_pid_file);
	*p = (struct libvirtd_plan){ 0 };
}
