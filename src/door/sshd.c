/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSH's sshd as the door needs it. */
#include "sshd.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "buf.h"
#include "cleanup.h"
#include "file.h"
#include "parse.h"

#define SSHD "/usr/sbin/sshd"
#define PRIVSEP_DIR "/run/sshd" /* compiled into Debian's */
#define PRIVSEP_ACCOUNT "sshd"
#define CONFIG_MAX 16384

static char *const plain_env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", NULL };

/* sshd's configuration, the line of authorized_keys and a shell all read these. */
static int check_plain(const char *what, const char *text, struct fault *fault)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/@+,=-[]";

	if (text[0] == '\0' || text[strspn(text, letters)] != '\0') {
		fault_set(fault, FAULT_BAD_VALUE, "%s \"%.80s\" cannot be used with the SSH door",
			  what, text);
		fault_hint(fault, "Letters, digits and ._:/@+,=- can.");
		return -EREMOTEIO;
	}
	return 0;
}

/* As root, sshd runs the door only where nobody else could have put another file: it would let
 * nobody in, and say so in its log only. */
static int check_owner(const char *path, struct fault *fault)
{
	_cleanup_free_ char *at = strdup(path);

	if (!at) {
		return -ENOMEM;
	}
	for (;;) {
		char *slash = strrchr(at, '/');
		struct stat st;

		if (stat(at[0] ? at : "/", &st) < 0 || st.st_uid != 0 || st.st_mode & 022) {
			fault_set(fault, FAULT_BAD_VALUE,
				  "%s could be changed by somebody else than root",
				  at[0] ? at : "/");
			fault_hint(fault,
				   "sshd runs dvm-door only from where root alone can write: "
				   "install dvm, or set DVM_LIBEXEC.");
			return -EREMOTEIO;
		}
		if (!slash || at[0] == '\0') {
			return 0;
		}
		*slash = '\0';
	}
}

static int run(char *const argv[], struct fault *fault)
{
	pid_t pid;
	int status = 0;
	int r = posix_spawn(&pid, argv[0], NULL, NULL, argv, plain_env);

	if (r != 0 || waitpid(pid, &status, 0) < 0 || status != 0) {
		return fault_set(fault, FAULT_INTERNAL, "%s failed%s%s", argv[0], r ? ": " : "",
				 r ? strerror(r) : "");
	}
	return 0;
}

static int make_host_key(const char *dir, struct fault *fault)
{
	_cleanup_free_ char *path = strf("%s/host_key", dir);
	_cleanup_free_ char *made = strf("%s/host_key.new", dir);
	_cleanup_free_ char *public = strf("%s/host_key.pub", dir);
	_cleanup_free_ char *made_public = strf("%s/host_key.new.pub", dir);
	char *const argv[] = { "/usr/bin/ssh-keygen",
			       "-q",
			       "-t",
			       "ed25519",
			       "-N",
			       "",
			       "-C",
			       "dvm",
			       "-f",
			       made,
			       NULL };
	int r;

	if (!path || !made || !public || !made_public) {
		return -ENOMEM;
	}
	if (access(path, F_OK) == 0) {
		return 0;
	}
	/* Of a start that was broken off: ssh-keygen would ask. */
	unlink(made);
	unlink(made_public);
	r = run(argv, fault);
	if (r < 0) {
		return r;
	}
	if (rename(made_public, public) < 0 || rename(made, path) < 0) {
		return fault_set(fault, FAULT_DISK_FULL, "cannot write %s: %s", path,
				 strerror(errno));
	}
	return 0;
}

static int write_config(const struct sshd_options *o, const char *path, struct fault *fault)
{
	bool root = geteuid() == 0;
	_cleanup_(buf_fini) struct buf b;
	int r;

	buf_init(&b, CONFIG_MAX);
	r = buf_printf(&b,
		       "# Made by dvm-door at each start.\n"
		       "HostKey %s/door/host_key\n"
		       "PidFile none\n"
		       "AllowUsers %s\n"
		       "AuthenticationMethods publickey\n"
		       "PubkeyAuthentication yes\n"
		       "PasswordAuthentication no\n"
		       "KbdInteractiveAuthentication no\n"
		       "HostbasedAuthentication no\n"
		       "UsePAM no\n"
		       "AuthorizedKeysFile none\n"
		       /* Elsewhere than as root, sshd wants root's file and root's folders even so,
			* which env(1) is. */
		       "AuthorizedKeysCommand %s%s keys %s %s %s %s %%t %%k\n"
		       "AuthorizedKeysCommandUser %s\n"
		       "LoginGraceTime 30\n"
		       "MaxAuthTries 6\n"
		       /* A ticket is for one login. */
		       "MaxSessions 1\n"
		       /* Who is let in and asks for nothing would hold his place for ever. */
		       "UnusedConnectionTimeout 15\n"
		       "DisableForwarding yes\n"
		       "AllowTcpForwarding no\n"
		       "AllowStreamLocalForwarding no\n"
		       "AllowAgentForwarding no\n"
		       "X11Forwarding no\n"
		       "PermitTunnel no\n"
		       "PermitUserRC no\n"
		       "PermitUserEnvironment no\n"
		       "PermitTTY yes\n"
		       "PrintMotd no\n"
		       "PrintLastLog no\n"
		       "Banner none\n"
		       "DebianBanner no\n"
		       "Compression no\n"
		       "UseDNS no\n"
		       "ClientAliveInterval 30\n"
		       "ClientAliveCountMax 4\n"
		       "LogLevel INFO\n",
		       o->state, o->account, root ? "" : "/usr/bin/env ", o->door, o->place.socket,
		       o->place.dvm, o->place.url, o->place.pin,
		       root ? PRIVSEP_ACCOUNT : o->account);
	if (r < 0) {
		return r;
	}
	r = file_write_atomic(path, buf_data(&b), buf_len(&b), 0600);
	return r < 0 ? fault_set(fault, FAULT_DISK_FULL, "cannot write %s: %s", path, strerror(-r))
		     : 0;
}

static int check_words(const struct sshd_options *o, struct fault *fault)
{
	const struct {
		const char *what, *text;
	} words[] = {
		{ "the state folder", o->state },   { "the account", o->account },
		{ "the folder", o->door },	    { "the socket", o->place.socket },
		{ "the program", o->place.dvm },    { "the address", o->place.url },
		{ "the key's hash", o->place.pin },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		int r = check_plain(words[i].what, words[i].text, fault);

		if (r < 0) {
			return r;
		}
	}
	return geteuid() == 0 ? check_owner(o->door, fault) : 0;
}

int sshd_prepare(const struct sshd_options *o, struct fault *fault)
{
	_cleanup_free_ char *dir = strf("%s/door", o->state);
	_cleanup_free_ char *config = strf("%s/door/sshd_config", o->state);
	char *const check[] = { SSHD, "-t", "-f", config, NULL };
	int r;

	if (!dir || !config) {
		return -ENOMEM;
	}
	if (access(SSHD, X_OK) < 0) {
		fault_set(fault, FAULT_NOT_SUPPORTED, "OpenSSH's sshd is not installed");
		fault_hint(fault, "Debian has it in openssh-server.");
		return -EREMOTEIO;
	}
	r = check_words(o, fault);
	if (r < 0) {
		return r;
	}
	r = dir_make(dir, 0700);
	if (r == 0 && geteuid() == 0) {
		/* Where no other sshd has run since the machine was started. It stays, for others
		 * use it. */
		r = dir_make(PRIVSEP_DIR, 0755);
	}
	if (r < 0) {
		return fault_set(fault, FAULT_INTERNAL, "cannot make a folder: %s", strerror(-r));
	}
	r = make_host_key(dir, fault);
	if (r == 0) {
		r = write_config(o, config, fault);
	}
	return r < 0 ? r : run(check, fault);
}

int sshd_exec(const struct sshd_options *o, int fd)
{
	_cleanup_free_ char *config = strf("%s/door/sshd_config", o->state);
	char *const argv[] = { SSHD, "-i", "-e", "-f", config, NULL };

	if (!config) {
		return -ENOMEM;
	}
	if (dup2(fd, STDIN_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0) {
		return -errno;
	}
	execve(argv[0], argv, plain_env);
	return -errno;
}
