/* SPDX-License-Identifier: Apache-2.0 */
/* dvm ssh-config and dvm known-hosts: make plain `ssh root@SESSION.dvm` work, and scp, rsync,
 * editors with it. */
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "buf.h"
#include "cleanup.h"
#include "commands.h"
#include "file.h"
#include "parse.h"
#include "session.h"
#include "ssh_key.h"
#include "ssh_options.h"
#include "view.h"

#define SSH_CONFIG_MAX (1024 * 1024)

static int make_block(struct buf *out, struct fault *fault)
{
	struct ssh_options options;
	char *identities[SSH_IDENTITIES_MAX + 1];
	int r;

	r = ssh_options_make(&options, fault);
	if (r < 0) {
		return r;
	}
	r = buf_printf(out, "# D-VMs of dvm: ssh SESSION.dvm\nHost *.dvm\n\tUser root\n");
	for (size_t i = 0; options.lines[i] && r == 0; i++) {
		r = buf_printf(out, "\t%s\n", options.lines[i]);
	}
	ssh_options_fini(&options);
	if (r < 0) {
		return r;
	}
	r = ssh_key_identities(identities, fault);
	if (r < 0) {
		return r;
	}
	for (size_t i = 0; identities[i]; i++) {
		if (r == 0) {
			_cleanup_free_ char *quoted = ssh_quote_words(identities[i]);

			r = quoted ? buf_printf(out, "\tIdentityFile %s\n", quoted) : -ENOMEM;
		}
		free(identities[i]);
	}
	return r;
}

/* Puts "Include FILE" before all else in ~/.ssh/config: behind a Host line it would count for that
 * host only. */
static int include(const char *file, struct fault *fault)
{
	const char *home = getenv("HOME");
	_cleanup_free_ char *dir = strf("%s/.ssh", home ? home : "");
	_cleanup_free_ char *path = strf("%s/.ssh/config", home ? home : "");
	_cleanup_free_ char *line = strf("Include \"%s\"\n", file);
	_cleanup_free_ char *real = NULL;
	_cleanup_free_ char *old = NULL;
	_cleanup_(buf_fini) struct buf text;
	size_t old_len = 0;
	int r;

	buf_init(&text, SSH_CONFIG_MAX + PATH_MAX);
	if (!dir || !path || !line) {
		return -ENOMEM;
	}
	r = dir_make(dir, 0700);
	if (r == 0) {
		real = realpath(path, NULL);
		r = file_read(real ? real : path, SSH_CONFIG_MAX, &old, &old_len);
		r = r == -ENOENT ? 0 : r;
	}
	if (r == 0 && old && strstr(old, line)) {
		return 0;
	}
	if (r == 0) {
		r = buf_append(&text, line, strlen(line));
	}
	if (r == 0 && old_len > 0) {
		r = buf_append(&text, old, old_len);
	}
	if (r == 0) {
		r = file_write_atomic(real ? real : path, buf_data(&text), buf_len(&text), 0600);
	}
	if (r < 0 && r != -ENOMEM) {
		return fault_set(fault, FAULT_INTERNAL, "cannot change %s: %s", path, strerror(-r));
	}
	return r;
}

static int run_config(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_(buf_fini) struct buf block;
	_cleanup_free_ char *dir = NULL;
	_cleanup_free_ char *file = NULL;
	int r;

	buf_init(&block, 65536);
	r = make_block(&block, fault);
	if (r < 0) {
		return r;
	}
	if (!args_has(args, "install")) {
		return fwrite(buf_data(&block), 1, buf_len(&block), stdout) == buf_len(&block)
			       ? 0
			       : -EIO;
	}
	r = config_dir(&dir, fault);
	if (r < 0) {
		return r;
	}
	file = strf("%s/ssh_config", dir);
	if (!file) {
		return -ENOMEM;
	}
	r = file_write_atomic(file, buf_data(&block), buf_len(&block), 0600);
	if (r < 0) {
		return fault_set(fault, FAULT_INTERNAL, "cannot write %s: %s", file, strerror(-r));
	}
	r = include(file, fault);
	if (r < 0) {
		return r;
	}
	printf("ssh root@SESSION.dvm works from now on, wherever DVM_URL and DVM_TOKEN are set (or "
	       "%s/config).\n",
	       dir);
	return 0;
}

static const struct option_def config_options[] = {
	{ "install", 0, NULL,
	  "write it to ~/.config/dvm/ssh_config and include that in ~/.ssh/config" },
	OPTION_END,
};

const struct command cmd_ssh_config = {
	.name = "ssh-config",
	.words = "",
	.summary = "print what makes plain ssh root@SESSION.dvm work",
	.options = config_options,
	.run = run_config,
};

static int run_known_hosts(struct cli *cli, const struct args *args, struct fault *fault)
{
	_cleanup_(json_decrefp) json_t *session = NULL;
	const char *host = args_word(args, 0), *known = getenv(SSH_HOST_KEY_ENV);
	int r;

	if (known && strncmp(known, host, strlen(host)) == 0 && known[strlen(host)] == ' ') {
		puts(known);
		return 0;
	}
	r = session_get(cli, args_word(args, 0), &session, fault);
	if (r < 0) {
		return r;
	}
	if (!json_text(session, "host_key")) {
		return fault_set(fault, FAULT_SESSION_NOT_READY, "session %s is still %s",
				 json_text(session, "id"), json_text(session, "state"));
	}
	printf("%s %s\n", args_word(args, 0), json_text(session, "host_key"));
	return 0;
}

const struct command cmd_known_hosts = {
	.name = "known-hosts",
	.words = "SESSION",
	.summary = "print a D-VM's host key for OpenSSH's KnownHostsCommand",
	.options = options_none,
	.run = run_known_hosts,
};
