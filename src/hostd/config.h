/* SPDX-License-Identifier: Apache-2.0 */
/* The sections [console] and [debugger] of STATE/dvm.ini. Every key has a default; an unknown one
 * is an error. */
#pragma once

#include "clock.h"
#include "fault.h"

struct hostd_config {
	uint64_t scrollback_bytes;    /* of each console */
	uint64_t history_bytes;	      /* recordings of each console */
	uint64_t history_total_bytes; /* and of all */
	usec_t stopped_limit;	      /* so long a debugger may keep a VM stopped without a word */
};

/* Defaults, then `path` where it exists. */
int hostd_config_load(const char *path, struct hostd_config *ret, struct fault *fault) _must_check_;
