/* SPDX-License-Identifier: Apache-2.0 */
/* How many columns a character takes on a terminal (Unicode 15: East Asian Width, combining). */
#pragma once

#include "macro.h"

/* 0 for one that combines with what stands before it, 1, or 2. */
unsigned char_width(uint32_t c);
