/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Test tool: what a terminal of ROWS × COLUMNS shows that was given standard input, by libvterm: a
 * line a row ("CHARACTERS|STYLES", a style being an index into those that follow), then each style,
 * then the cursor. Two inputs show the same when the output is the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vterm.h>

#define STYLES_MAX 26

static char styles[STYLES_MAX][128];
static unsigned n_styles;

static void color_write(char *p, size_t size, const VTermColor *c)
{
	if (VTERM_COLOR_IS_DEFAULT_FG(c) || VTERM_COLOR_IS_DEFAULT_BG(c)) {
		snprintf(p, size, "-");
	} else if (VTERM_COLOR_IS_INDEXED(c)) {
		snprintf(p, size, "%u", c->indexed.idx);
	} else {
		snprintf(p, size, "#%02x%02x%02x", c->rgb.red, c->rgb.green, c->rgb.blue);
	}
}

/* A blank has no more of a style than its background. */
static char style_of(const VTermScreenCell *cell)
{
	char fg[16], bg[16], style[128];
	unsigned blank = cell->chars[0] == 0 || cell->chars[0] == ' ';
	unsigned i = 0;

	color_write(fg, sizeof(fg), &cell->fg);
	color_write(bg, sizeof(bg), &cell->bg);
	if (blank) {
		snprintf(style, sizeof(style), "blank on %s%s", bg,
			 cell->attrs.reverse ? " reverse" : "");
	} else {
		snprintf(style, sizeof(style),
			 "%s on %s bold=%u underline=%u italic=%u blink=%u reverse=%u", fg, bg,
			 cell->attrs.bold, cell->attrs.underline != 0, cell->attrs.italic,
			 cell->attrs.blink, cell->attrs.reverse);
	}
	while (i < n_styles && strcmp(styles[i], style) != 0) {
		i++;
	}
	if (i == n_styles && n_styles < STYLES_MAX) {
		strcpy(styles[n_styles++], style);
	}
	return (char)('a' + i);
}

static void row_write(VTermScreen *screen, int row, int columns)
{
	for (int column = 0; column < columns; column++) {
		VTermScreenCell cell;

		vterm_screen_get_cell(screen, (VTermPos){ .row = row, .col = column }, &cell);
		if (cell.chars[0] > ' ' && cell.chars[0] < 0x7f) {
			putchar((int)cell.chars[0]);
		} else if (cell.chars[0] > ' ') {
			printf("<%X>", cell.chars[0]);
		} else {
			putchar(' ');
		}
	}
	putchar('|');
	for (int column = 0; column < columns; column++) {
		VTermScreenCell cell;

		vterm_screen_get_cell(screen, (VTermPos){ .row = row, .col = column }, &cell);
		putchar(style_of(&cell));
	}
	putchar('\n');
}

static int on_prop(VTermProp prop, VTermValue *value, void *user)
{
	int *visible = user;

	if (prop == VTERM_PROP_CURSORVISIBLE) {
		*visible = value->boolean;
	}
	return 1;
}

int main(int argc, char **argv)
{
	static const VTermScreenCallbacks callbacks = { .settermprop = on_prop };
	int rows = argc > 1 ? atoi(argv[1]) : 24, columns = argc > 2 ? atoi(argv[2]) : 80,
	    visible = 1;
	VTerm *vt = vterm_new(rows, columns);
	VTermScreen *screen;
	VTermPos cursor;
	char bytes[4096];
	size_t n;

	vterm_set_utf8(vt, 1);
	screen = vterm_obtain_screen(vt);
	vterm_screen_enable_altscreen(screen, 1);
	vterm_screen_set_callbacks(screen, &callbacks, &visible);
	vterm_screen_reset(screen, 1);
	while ((n = fread(bytes, 1, sizeof(bytes), stdin)) > 0) {
		vterm_input_write(vt, bytes, n);
	}
	for (int row = 0; row < rows; row++) {
		row_write(screen, row, columns);
	}
	for (unsigned i = 0; i < n_styles; i++) {
		printf("%c: %s\n", 'a' + i, styles[i]);
	}
	vterm_state_get_cursorpos(vterm_obtain_state(vt), &cursor);
	printf("cursor %d %d %s\n", cursor.row, cursor.col, visible ? "visible" : "hidden");
	vterm_free(vt);
	return 0;
}
