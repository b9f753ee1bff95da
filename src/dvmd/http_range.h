/* SPDX-License-Identifier: Apache-2.0 */
/* The Range header of RFC 9110, one range of bytes. Pure. */
#pragma once

#include "macro.h"

/* Of a body of `size` bytes. 1: bytes *ret_first up to, not including, *ret_end; 0: no range, or
 * one that is to be ignored (another unit, several ranges, malformed): the whole body; -ERANGE:
 * beyond the end. */
int http_range_parse(const char *value, uint64_t size, uint64_t *ret_first,
		     uint64_t *ret_end) _must_check_;
