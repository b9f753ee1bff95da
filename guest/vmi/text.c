/* SPDX-License-Identifier: Apache-2.0 */
/* Texts out of a guest's memory, made fit for a terminal and for JSON. */
#include "text.h"

#include <stdint.h>
#include <string.h>

/* The length of the well-formed character at `p`, which ends with a NUL somewhere; 0: it is none.
 */
static size_t utf8_length(const uint8_t *p)
{
	size_t n = p[0] >= 0xc2 && p[0] < 0xe0	 ? 2
		   : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
		   : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
						 : 0;

	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80) {
			return 0;
		}
	}
	if ((p[0] == 0xc2 && p[1] < 0xa0) ||  /* C1 */
	    (p[0] == 0xe0 && p[1] < 0xa0) ||  /* longer than need be */
	    (p[0] == 0xed && p[1] >= 0xa0) || /* surrogates */
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90)) {
		return 0;
	}
	return n;
}

void text_clean(char *text, bool lines)
{
	uint8_t *p = (uint8_t *)text;

	while (*p) {
		size_t n = 1;

		if (*p >= 0x80) {
			n = utf8_length(p);
			if (n == 0) {
				*p = '?';
				n = 1;
			}
		} else if ((*p < 0x20 && !(lines && (*p == '\n' || *p == '\t'))) || *p == 0x7f) {
			*p = '?';
		}
		p += n;
	}
}
