/* SPDX-License-Identifier: Apache-2.0 */
/* A panic's line is the same however the bytes are cut. */
#include "panic_watch.h"

#include <string.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct panic_watch whole = { 0 }, pieces = { 0 };
	bool seen = panic_watch_feed(&whole, data, size), again = false;

	for (size_t i = 0; i < size && !again; i++) {
		again = panic_watch_feed(&pieces, data + i, 1);
	}
	must(seen == again);
	if (seen) {
		must(strlen(whole.text) <= PANIC_TEXT_MAX && strcmp(whole.text, pieces.text) == 0);
	}
	return 0;
}
