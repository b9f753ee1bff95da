/* SPDX-License-Identifier: Apache-2.0 */
/* The escape keys of `target console`. As ssh's: only right after Enter is ~ more than a tilde. */
#include "escape.h"

#define CTRL_BRACKET 0x1d

enum escape_action escape_key(struct escape *e, unsigned char key, unsigned char out[2],
			      size_t *ret_len)
{
	bool line_start = e->line_start;

	*ret_len = 0;
	if (key == CTRL_BRACKET) {
		return ESCAPE_QUIT;
	}
	if (e->pending) {
		e->pending = false;
		switch (key) {
		case '.':
			return ESCAPE_QUIT;
		case 'B':
			return ESCAPE_BREAK;
		case 'w':
			return ESCAPE_TAKE;
		case '?':
			return ESCAPE_HELP;
		case '~':
			break; /* ~~ is one ~ */
		default:
			out[(*ret_len)++] = '~';
			break;
		}
	} else if (line_start && key == '~') {
		e->pending = true;
		e->line_start = false;
		return ESCAPE_NONE;
	}
	out[(*ret_len)++] = key;
	e->line_start = key == '\r' || key == '\n';
	return ESCAPE_NONE;
}
