/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 out of bytes that may be anything (Unicode 15, table 3-7), piece by piece. */
#pragma once

#include "macro.h"

#define UTF8_MAX 4

/* Length of the character at the head of [p, p+len); 0 when its rest may still come; -n for n bytes
 * (1..3) that are no character and stand for one U+FFFD. `len` must not be 0. */
int utf8_next(const uint8_t *p, size_t len);
