/* SPDX-License-Identifier: Apache-2.0 */
/* Recognises the panic of a Linux guest in what its console says. */
#include "panic_watch.h"

#include <string.h>

/* kernel/panic.c of every Linux since 2.0. Its first letter is in it once, so a search that fails
 * begins anew with the byte at which it failed. */
static const char sign[] = "Kernel panic - not syncing";
#define SIGN_LEN (sizeof(sign) - 1)

static void begin(struct panic_watch *w)
{
	memcpy(w->text, sign, SIGN_LEN);
	w->len = SIGN_LEN;
	w->matched = 0;
}

static bool line_goes_on(struct panic_watch *w, uint8_t c)
{
	if (c == '\r' || c == '\n' || w->len == PANIC_TEXT_MAX) {
		w->text[w->len] = '\0';
		w->len = 0;
		return false;
	}
	w->text[w->len++] = c >= ' ' && c <= '~' ? (char)c : '?';
	return true;
}

bool panic_watch_feed(struct panic_watch *w, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (w->len > 0) {
			if (!line_goes_on(w, bytes[i])) {
				return true;
			}
			continue;
		}
		if (w->matched == 0) {
			const uint8_t *p = memchr(bytes + i, sign[0], len - i);

			if (!p) {
				return false;
			}
			i = (size_t)(p - bytes);
		}
		w->matched = bytes[i] == (uint8_t)sign[w->matched] ? w->matched + 1
			     : bytes[i] == (uint8_t)sign[0]	   ? 1
								   : 0;
		if (w->matched == SIGN_LEN) {
			begin(w);
		}
	}
	return false;
}
