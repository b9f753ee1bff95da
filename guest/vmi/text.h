/* SPDX-License-Identifier: Apache-2.0 */
/* Texts out of a guest's memory, made fit for a terminal and for JSON. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* In place: control characters (C1 ones too) and what is no UTF-8 become '?'; with `lines`, newline
 * and tab stay. */
void text_clean(char *text, bool lines);
