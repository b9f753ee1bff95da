/* SPDX-License-Identifier: Apache-2.0 */
/* Attachments of a session: what `dvm disk` and `dvm port` have in common. The session is the
 * arguments' first word; with --json the attachment is printed as it is. */
#pragma once

#include <jansson.h>

#include "args.h"
#include "cli.h"

/* Prints what has been done, for people; `a` has the name of its target in "target" then. */
typedef void attachment_say_fn(const json_t *a);
typedef bool attachment_match_fn(const char *kind);

/* `vm` NULL: the first target. Waits until it is there. */
int attachment_make(struct cli *cli, const struct args *args, const char *kind, const char *mode,
		    const char *vm, attachment_say_fn *say, struct fault *fault) _must_check_;
/* `vm` NULL: the only one that has such an attachment. Waits until it is gone. */
int attachment_drop(struct cli *cli, const struct args *args, const char *kind, const char *vm,
		    attachment_say_fn *say, struct fault *fault) _must_check_;
/* `match` NULL: of all kinds. */
int attachment_list(struct cli *cli, const struct args *args, attachment_match_fn *match,
		    struct fault *fault) _must_check_;
