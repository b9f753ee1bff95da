/* SPDX-License-Identifier: Apache-2.0 */
/* A conversation with a console in steps: what to wait for and what to type, in the order of the
 * command line (--expect, --send). */
#pragma once

#include <regex.h>
#include <stdbool.h>

#include "args.h"
#include "buf.h"
#include "typed.h"

/* A pattern is looked for in the last so many bytes since the one before it. */
#define SCRIPT_SEEN_MAX ((size_t)64 * 1024)
#define SCRIPT_SEND_MAX 4096

struct script;

/* NULL where there are no steps. A fault for a pattern or a text that cannot be. */
int script_new(const struct args *args, struct script **ret, struct fault *fault) _must_check_;
struct script *script_free(struct script *s);
/* What the guest said. -ENOMEM */
int script_said(struct script *s, const uint8_t *p, size_t len) _must_check_;
/* Goes on as far as it can; what is to be typed goes to `typed`. -ENOMEM */
int script_go(struct script *s, struct typed *typed) _must_check_;
bool script_is_over(const struct script *s);
/* The pattern that it waits for; NULL where it does not. */
const char *script_waits_for(const struct script *s);

/* "\r", "\n", "\t", "\e", "\0", "\xHH" and "\\" in a text to send. -EINVAL */
int script_unescape(const char *s, char *out, size_t size, size_t *ret_len) _must_check_;
