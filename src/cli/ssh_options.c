/* SPDX-License-Identifier: Apache-2.0 */
/* The options that let OpenSSH reach a D-VM. */
#include "ssh_options.h"

#include <limits.h>
#include <string.h>

#include "buf.h"
#include "cleanup.h"
#include "parse.h"

static char *finish(struct buf *b, int r)
{
	return r == 0 && buf_append(b, "", 1) == 0 ? strdup((const char *)buf_data(b)) : NULL;
}

char *ssh_quote_shell(const char *path)
{
	_cleanup_(buf_fini) struct buf b;
	int r;

	buf_init(&b, PATH_MAX * 5);
	r = buf_append(&b, "'", 1);
	for (; *path && r == 0; path++) {
		if (*path == '\'') {
			r = buf_append(&b, "'\\''", 4);
		} else if (*path == '%') {
			r = buf_append(&b, "%%", 2);
		} else {
			r = buf_append(&b, path, 1);
		}
	}
	if (r == 0) {
		r = buf_append(&b, "'", 1);
	}
	return finish(&b, r);
}

char *ssh_quote_words(const char *path)
{
	_cleanup_(buf_fini) struct buf b;
	int r;

	buf_init(&b, PATH_MAX * 3);
	r = buf_append(&b, "\"", 1);
	for (; *path && r == 0; path++) {
		if (*path == '"' || *path == '\\') {
			r = buf_append(&b, "\\", 1);
		} else if (*path == '%') {
			r = buf_append(&b, "%", 1);
		}
		if (r == 0) {
			r = buf_append(&b, path, 1);
		}
	}
	if (r == 0) {
		r = buf_append(&b, "\"", 1);
	}
	return finish(&b, r);
}

int ssh_options_make(struct ssh_options *ret, struct fault *fault)
{
	struct ssh_options o = { 0 };
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	_cleanup_free_ char *shell = NULL;
	_cleanup_free_ char *words = NULL;
	size_t n = 0;

	if (len < 0) {
		return fault_set(fault, FAULT_INTERNAL, "cannot find my own program file: %s",
				 strerror(errno));
	}
	self[len] = '\0';
	shell = ssh_quote_shell(self);
	words = ssh_quote_words(self);
	if (!shell || !words) {
		return -ENOMEM;
	}
	o.lines[n++] = strf("ProxyCommand %s proxy %%h", shell);
	o.lines[n++] = strf("KnownHostsCommand %s known-hosts %%H", words);
	o.lines[n++] = strdup("UserKnownHostsFile /dev/null");
	o.lines[n++] = strdup("GlobalKnownHostsFile /dev/null");
	/* With the algorithm given, ssh asks for the key once. The D-VM has this one kind. */
	o.lines[n++] = strdup("HostKeyAlgorithms ssh-ed25519");
	o.lines[n++] = strdup("StrictHostKeyChecking yes");
	o.lines[n++] = strdup("UpdateHostKeys no");
	o.lines[n++] = strdup("CheckHostIP no");
	for (size_t i = 0; i < n; i++) {
		if (!o.lines[i]) {
			ssh_options_fini(&o);
			return -ENOMEM;
		}
	}
	*ret = o;
	return 0;
}

void ssh_options_fini(struct ssh_options *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(o->lines); i++) {
		free(o->lines[i]);
		o->lines[i] = NULL;
	}
}
