/* SPDX-License-Identifier: Apache-2.0 */
/* Reading asciicast v2, https://docs.asciinema.org/manual/asciicast/v2/: a header line, then an
 * event a line. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "macro.h"

#define CAST_LINE_MAX (1024 * 1024)

struct cast_event {
	usec_t at;	  /* since the recording's start */
	char type;	  /* 'o' output, 'i' input, 'm' marker, 'r' resize */
	const char *text; /* UTF-8; borrowed from json */
	size_t text_len;
	json_t *json;
};

/* The first line. -EPROTO when it is no asciicast v2. */
int cast_header(const char *line, size_t len, unsigned *ret_columns,
		unsigned *ret_rows) _must_check_;
int cast_event(const char *line, size_t len, struct cast_event *ret) _must_check_;
void cast_event_fini(struct cast_event *e);
