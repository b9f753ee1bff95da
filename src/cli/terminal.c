/* SPDX-License-Identifier: Apache-2.0 */
/* The user's terminal in raw mode, and back. */
#include "terminal.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

int terminal_raw(struct terminal *t)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &t->saved) < 0) {
		return -errno;
	}
	raw = t->saved;
	cfmakeraw(&raw);
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0) {
		return -errno;
	}
	t->raw = true;
	return 0;
}

void terminal_restore(struct terminal *t)
{
	if (t->raw) {
		tcsetattr(STDIN_FILENO, TCSADRAIN, &t->saved);
		t->raw = false;
	}
}

void terminal_size(uint16_t *ret_rows, uint16_t *ret_columns)
{
	struct winsize w = { 0 };

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) < 0) {
		w = (struct winsize){ 0 };
	}
	*ret_rows = w.ws_row;
	*ret_columns = w.ws_col;
}
