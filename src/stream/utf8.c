/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 out of bytes that may be anything. */
#include "utf8.h"

/* How a lead byte goes on: number of bytes, and the range of the second (the others are 80..BF). */
struct lead {
	int len;
	uint8_t low, high;
};

static struct lead lead_of(uint8_t c)
{
	if (c < 0x80) {
		return (struct lead){ 1, 0, 0 };
	}
	if (c < 0xc2 || c > 0xf4) {
		return (struct lead){ 0, 0, 0 };
	}
	if (c < 0xe0) {
		return (struct lead){ 2, 0x80, 0xbf };
	}
	if (c < 0xf0) {
		/* no overlong form, no surrogate */
		return (struct lead){ 3, c == 0xe0 ? 0xa0 : 0x80, c == 0xed ? 0x9f : 0xbf };
	}
	/* no overlong form, nothing beyond U+10FFFF */
	return (struct lead){ 4, c == 0xf0 ? 0x90 : 0x80, c == 0xf4 ? 0x8f : 0xbf };
}

int utf8_next(const uint8_t *p, size_t len)
{
	struct lead lead = lead_of(p[0]);

	if (lead.len == 0) {
		return -1;
	}
	for (int i = 1; i < lead.len; i++) {
		if ((size_t)i >= len) {
			return 0;
		}
		if (p[i] < (i == 1 ? lead.low : 0x80) || p[i] > (i == 1 ? lead.high : 0xbf)) {
			return -i;
		}
	}
	return lead.len;
}
