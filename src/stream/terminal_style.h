/* SPDX-License-Identifier: Apache-2.0 */
/* Select Graphic Rendition: from a sequence to a style and back. */
#pragma once

#include "buf.h"
#include "terminal_grid.h"
#include "terminal_parser.h"

#define TERMINAL_STYLE_TEXT_MAX 80

void terminal_style_apply(struct terminal_style *style, const struct terminal_csi *sgr);
/* Writes the sequence that makes any style this one; returns its length. */
size_t terminal_style_write(const struct terminal_style *style, char text[TERMINAL_STYLE_TEXT_MAX]);
bool terminal_style_equal(const struct terminal_style *a, const struct terminal_style *b);
