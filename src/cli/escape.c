/* SPDX-License-Identifier: Apache-2.0 */
/* Escape keys of an interactive console. */
#include "escape.h"

const char escape_help[] = "\r\n"
			   "  ~.  leave the console\r\n"
			   "  ~B  send a break\r\n"
			   "  ~W  take writing over from whoever has it\r\n"
			   "  ~~  send a tilde\r\n"
			   "  ~?  this\r\n"
			   "(at the start of a line only)\r\n";

enum escape_action escape_input(struct escape *e, uint8_t key, uint8_t out[2], size_t *ret_len)
{
	static const struct {
		uint8_t key;
		enum escape_action action;
	} keys[] = {
		{ '.', ESCAPE_QUIT },
		{ 'B', ESCAPE_BREAK },
		{ 'W', ESCAPE_TAKE },
		{ '?', ESCAPE_HELP },
	};

	*ret_len = 0;
	if (e->tilde) {
		e->tilde = false;
		for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
			if (keys[i].key == key) {
				/* The line still has nothing in it. */
				return keys[i].action;
			}
		}
		out[(*ret_len)++] = '~';
		e->line_start = false;
		if (key == '~') {
			return ESCAPE_NONE;
		}
	} else if (e->line_start && key == '~') {
		e->tilde = true;
		return ESCAPE_NONE;
	}
	out[(*ret_len)++] = key;
	e->line_start = key == '\r' || key == '\n';
	return ESCAPE_NONE;
}
