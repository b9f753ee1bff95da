/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PNG (W3C PNG second edition, §5), as far as it takes to pass a picture of a screen on: its chunks
 * are what they should be, and those that hold no picture (texts, times, profiles) stay behind.
 */
#pragma once

#include "buf.h"

#define PNG_SIDE_MAX 16384

struct png_size {
	uint32_t width, height;
};

/* Appends the picture to `out`. -EBADMSG: not a PNG, larger than PNG_SIDE_MAX, or cut off;
 * -ENOBUFS, -ENOMEM. Pixels and checksums are not looked at. */
int png_clean(const uint8_t *p, size_t len, struct buf *out, struct png_size *ret) _must_check_;
