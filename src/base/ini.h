/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration files: "[section]", "key = value", "#" comments. Unknown keys are errors of the
 * caller. */
#pragma once

#include "fault.h"

/* Called for each key; sets a fault and returns < 0 to stop. `line` counts from 1. */
typedef int (*ini_key_fn)(const char *section, const char *key, const char *value, unsigned line,
			  void *user, struct fault *fault);
#define INI_FILE_MAX (256 * 1024)
/* -ENOENT when the file is absent (no fault set), -EREMOTEIO with a fault for all else. */
int ini_parse_file(const char *path, ini_key_fn fn, void *user, struct fault *fault) _must_check_;
int ini_parse_text(const char *text, size_t len, ini_key_fn fn, void *user,
		   struct fault *fault) _must_check_;
