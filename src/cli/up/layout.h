/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the state folder that the supervisor reads and writes, and what a user's shell needs to
 * use it. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "config.h"
#include "fault.h"

/* STATE/NAME; NULL: no memory. */
char *layout_path(const char *state, const char *name);
/* The folders: 0700, or 0711 where another user of ours passes through. */
int layout_make(const char *state, struct fault *fault) _must_check_;

/* Makes the first token with dvmd where there is none yet. dvmd must not run. */
int layout_bootstrap_token(const char *state, struct fault *fault) _must_check_;

/* How the supervisor was started (run/up.json), and where its gate is: written when all is ready.
 */
struct layout_up {
	char *url;    /* https://ADDRESS:PORT */
	char *uri;    /* libvirt's, or fake:… */
	char *listen; /* as asked for, or NULL */
	char *ssh;    /* ssh://ACCOUNT@ADDRESS:PORT of the SSH door; NULL: there is none */
};

int layout_write_up(const char *state, const struct layout_up *up,
		    struct fault *fault) _must_check_;
/* -ENOENT when there is none. */
int layout_read_up(const char *state, struct layout_up *ret) _must_check_;
void layout_up_fini(struct layout_up *up);

/* The configuration of a client on this machine; the admin's token. */
int layout_config(const char *state, const struct layout_up *up, struct config *ret,
		  struct fault *fault) _must_check_;
/* "export NAME=value" lines for a shell, or a JSON object. */
int layout_print_environment(const char *state, const struct layout_up *up, bool as_json,
			     struct fault *fault) _must_check_;
