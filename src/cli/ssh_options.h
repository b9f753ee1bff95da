/* SPDX-License-Identifier: Apache-2.0 */
/* The options that let OpenSSH reach a D-VM: one list for `dvm ssh` and `dvm ssh-config`. */
#pragma once

/* Set by `dvm ssh` for the `dvm known-hosts` that its ssh runs: "HOST KEY", so that it need not ask
 * the server again. */
#define SSH_HOST_KEY_ENV "DVM_HOST_KEY"

#include "fault.h"

struct ssh_options {
	char *lines[16]; /* "Keyword value", NULL-ended */
};

int ssh_options_make(struct ssh_options *ret, struct fault *fault) _must_check_;
void ssh_options_fini(struct ssh_options *o);

/* `path` in single quotes for a shell inside an ssh option, where % means something too; double
 * quotes for the commands that ssh splits by itself. */
char *ssh_quote_shell(const char *path);
char *ssh_quote_words(const char *path);
