/* SPDX-License-Identifier: Apache-2.0 */
/* What terminal.c and terminal_snapshot.c share: the state of a terminal. */
#pragma once

#include "terminal.h"
#include "terminal_parser.h"
#include "terminal_style.h"

#define TERMINAL_CHARSETS 4

enum terminal_mode {
	TERMINAL_MODE_INSERT,
	TERMINAL_MODE_NEWLINE,
	TERMINAL_MODE_CURSOR_KEYS,
	TERMINAL_MODE_REVERSE_SCREEN,
	TERMINAL_MODE_ORIGIN, /* kept in terminal_position, as it is saved with it */
	TERMINAL_MODE_AUTOWRAP,
	TERMINAL_MODE_MOUSE_X10,
	TERMINAL_MODE_CURSOR_VISIBLE,
	TERMINAL_MODE_KEYPAD,
	TERMINAL_MODE_MOUSE,
	TERMINAL_MODE_MOUSE_DRAG,
	TERMINAL_MODE_MOUSE_MOVE,
	TERMINAL_MODE_FOCUS,
	TERMINAL_MODE_MOUSE_UTF8,
	TERMINAL_MODE_MOUSE_SGR,
	TERMINAL_MODE_MOUSE_URXVT,
	TERMINAL_MODE_PASTE,
	_TERMINAL_MODE_MAX,
};

struct terminal_mode_info {
	char leader; /* of the sequences that set and reset it */
	uint16_t number;
	bool initial;
};
extern const struct terminal_mode_info terminal_modes[_TERMINAL_MODE_MAX];

struct terminal_position {
	unsigned row, column;
	bool wrap; /* the last column was written: the next character begins a new line */
	bool origin;
	struct terminal_style style;
	char charsets[TERMINAL_CHARSETS]; /* final byte of the designation: B, or 0 for lines */
	unsigned charset;		  /* the one in use */
};

struct terminal_screen {
	struct terminal_grid grid;
	struct terminal_position saved;
};

struct terminal {
	struct terminal_parser parser;
	struct terminal_screen screens[2]; /* the second is the alternate one */
	struct terminal_screen *screen;
	struct terminal_position at;
	unsigned top, end; /* the scroll region: rows [top, end) */
	bool modes[_TERMINAL_MODE_MAX];
	uint8_t cursor_style;
	uint8_t tabs[TERMINAL_COLUMNS_MAX];
	uint32_t last; /* the character that REP repeats, 0 for none */
};

static inline bool terminal_tab_initial(unsigned column)
{
	return column % 8 == 0;
}
