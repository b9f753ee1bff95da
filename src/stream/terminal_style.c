/* SPDX-License-Identifier: Apache-2.0 */
/* Select Graphic Rendition (ECMA-48 8.3.117, ISO 8613-6, xterm): to a style and back. */
#include "terminal_style.h"

#include <stdio.h>

/* What turns an attribute on, and what off. */
static const struct {
	uint16_t on, off;
	uint32_t attr;
} attrs[] = {
	{ 1, 22, TERMINAL_BOLD },
	{ 2, 22, TERMINAL_FAINT },
	{ 3, 23, TERMINAL_ITALIC },
	{ 4, 24, TERMINAL_UNDERLINE },
	{ 5, 25, TERMINAL_BLINK },
	{ 7, 27, TERMINAL_REVERSE },
	{ 8, 28, TERMINAL_HIDDEN },
	{ 9, 29, TERMINAL_STRIKE },
	{ 21, 24, TERMINAL_DOUBLE_UNDERLINE },
};

static terminal_color index_color(unsigned n)
{
	return TERMINAL_COLOR_INDEX | (n & 0xff);
}

static terminal_color rgb_color(const uint16_t *rgb)
{
	return TERMINAL_COLOR_RGB | (rgb[0] & 0xffu) << 16 | (rgb[1] & 0xffu) << 8 |
	       (rgb[2] & 0xff);
}

/* How many parameters behind number i belong to it by a colon. */
static unsigned n_subs(const struct terminal_csi *sgr, unsigned i)
{
	unsigned n = 0;

	while (i + 1 + n < sgr->n_params && (sgr->sub >> (i + 1 + n) & 1)) {
		n++;
	}
	return n;
}

/* A colour behind 38, 48 or 58 at number i; returns how many parameters it took. */
static unsigned color_read(const struct terminal_csi *sgr, unsigned i, terminal_color *color)
{
	const uint16_t *p = sgr->params + i + 1;
	unsigned subs = n_subs(sgr, i), left = sgr->n_params - i - 1;

	if (subs > 0) {
		if (p[0] == 5 && subs >= 2) {
			*color = index_color(p[1]);
		} else if (p[0] == 2 && subs >= 4) {
			/* With five a colour space stands before the three. */
			*color = rgb_color(p + (subs >= 5 ? 2 : 1));
		}
		return subs;
	}
	if (left >= 2 && p[0] == 5) {
		*color = index_color(p[1]);
		return 2;
	}
	if (left >= 4 && p[0] == 2) {
		*color = rgb_color(p + 1);
		return 4;
	}
	return left;
}

static void attr_apply(struct terminal_style *style, uint16_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(attrs); i++) {
		if (n == attrs[i].on) {
			style->attrs |= attrs[i].attr;
		} else if (n == attrs[i].off) {
			style->attrs &= ~attrs[i].attr;
		}
	}
}

/* Returns how many parameters behind number i it took. */
static unsigned param_apply(struct terminal_style *style, const struct terminal_csi *sgr,
			    unsigned i)
{
	uint16_t n = sgr->params[i];
	unsigned subs = n_subs(sgr, i);
	terminal_color ignored;

	switch (n) {
	case 0:
		*style = (struct terminal_style){ 0 };
		return subs;
	case 4:
		/* 4:0 is none, 4:1 to 4:5 are kinds of lines */
		attr_apply(style, subs > 0 && sgr->params[i + 1] == 0 ? 24 : 4);
		return subs;
	case 38:
		return color_read(sgr, i, &style->fg);
	case 48:
		return color_read(sgr, i, &style->bg);
	case 58:
		return color_read(sgr, i, &ignored);
	case 39:
		style->fg = 0;
		return subs;
	case 49:
		style->bg = 0;
		return subs;
	default:
		break;
	}
	if (n >= 30 && n <= 37) {
		style->fg = index_color(n - 30u);
	} else if (n >= 40 && n <= 47) {
		style->bg = index_color(n - 40u);
	} else if (n >= 90 && n <= 97) {
		style->fg = index_color(n - 90u + 8);
	} else if (n >= 100 && n <= 107) {
		style->bg = index_color(n - 100u + 8);
	} else {
		attr_apply(style, n);
	}
	return subs;
}

void terminal_style_apply(struct terminal_style *style, const struct terminal_csi *sgr)
{
	if (sgr->n_params == 0) {
		*style = (struct terminal_style){ 0 };
	}
	for (unsigned i = 0; i < sgr->n_params; i++) {
		i += param_apply(style, sgr, i);
	}
}

/* `base`: 30 or 40. What the first terminals with colours know is said in their words, the rest in
 * a sequence of its own: some terminals take no more than 16 parameters. */
static int color_write(char *p, size_t size, terminal_color color, unsigned base)
{
	unsigned n = color & 0xff;

	if ((color & TERMINAL_COLOR_KIND) == TERMINAL_COLOR_RGB) {
		return snprintf(p, size, "m\033[%u;2;%u;%u;%u", base + 8, color >> 16 & 0xff,
				color >> 8 & 0xff, n);
	}
	if ((color & TERMINAL_COLOR_KIND) != TERMINAL_COLOR_INDEX) {
		return 0;
	}
	if (n < 8) {
		return snprintf(p, size, ";%u", base + n);
	}
	if (n < 16) {
		return snprintf(p, size, ";%u", base + 60 + n - 8);
	}
	return snprintf(p, size, "m\033[%u;5;%u", base + 8, n);
}

size_t terminal_style_write(const struct terminal_style *style, char text[TERMINAL_STYLE_TEXT_MAX])
{
	/* The longest has all attributes (21 bytes) and two colours of 19. */
	int n = snprintf(text, TERMINAL_STYLE_TEXT_MAX, "\033[0");

	for (size_t i = 0; i < ARRAY_SIZE(attrs); i++) {
		if (style->attrs & attrs[i].attr) {
			n += snprintf(text + n, TERMINAL_STYLE_TEXT_MAX - (size_t)n, ";%u",
				      attrs[i].on);
		}
	}
	n += color_write(text + n, TERMINAL_STYLE_TEXT_MAX - (size_t)n, style->fg, 30);
	n += color_write(text + n, TERMINAL_STYLE_TEXT_MAX - (size_t)n, style->bg, 40);
	n += snprintf(text + n, TERMINAL_STYLE_TEXT_MAX - (size_t)n, "m");
	return (size_t)n;
}

bool terminal_style_equal(const struct terminal_style *a, const struct terminal_style *b)
{
	return a->fg == b->fg && a->bg == b->bg && a->attrs == b->attrs;
}
