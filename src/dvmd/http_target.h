/* SPDX-License-Identifier: Apache-2.0 */
/* The target of a request ("/v1/vms/patient?limit=5"), taken apart strictly. Pure. */
#pragma once

#include "fault.h"

#define HTTP_TARGET_MAX 4096
#define HTTP_SEGMENTS_MAX 8
#define HTTP_QUERY_MAX 16

struct http_target {
	char *memory; /* what the pointers below point into */
	const char
		*segments[HTTP_SEGMENTS_MAX]; /* of the path, decoded; none is empty but for "/" */
	size_t n_segments;
	struct {
		const char *name, *value;
	} query[HTTP_QUERY_MAX];
	size_t n_query;
};

/* -EREMOTEIO with bad-request: no absolute path, a bad %-escape, control characters, bytes that are
 * not UTF-8, too long, too many parts. -ENOMEM likewise, with internal. */
int http_target_parse(const char *raw, struct http_target *ret, struct fault *fault) _must_check_;
void http_target_fini(struct http_target *t);
