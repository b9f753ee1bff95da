/* SPDX-License-Identifier: Apache-2.0 */
/* Names of keys as users write them. */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct chord chord;
	char text[256];
	int r;

	if (size >= sizeof(text)) {
		return 0;
	}
	memcpy(text, data, size);
	text[size] = '\0';
	r = chord_parse(text, &chord);
	must(r == 0 || r == -EINVAL);
	if (r == 0) {
		must(chord.n >= 1 && chord.n <= CHORD_CODES_MAX);
		for (size_t i = 0; i < chord.n; i++) {
			must(chord.codes[i] >= 1 && chord.codes[i] <= 255);
		}
	}
	if (size > 0 && chord_of_char((char)data[0], &chord) == 0) {
		must(chord.n == 1 || chord.n == 2);
	}
	return 0;
}
