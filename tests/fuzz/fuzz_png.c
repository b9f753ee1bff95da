/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures of screens: what passes is no longer than what came, is a PNG, and passes again as it
 * is.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "png.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct png_size first, second;
	struct buf out, again;
	int r;

	buf_init(&out, size + 1);
	buf_init(&again, size + 1);
	r = png_clean(data, size, &out, &first);
	must(r == 0 || r == -EBADMSG);
	if (r == 0) {
		must(first.width >= 1 && first.width <= PNG_SIDE_MAX);
		must(!memmem(buf_data(&out), buf_len(&out), "tEXt", 4) ||
		     memmem(data, size, "tEXt", 4));
		must(png_clean(buf_data(&out), buf_len(&out), &again, &second) == 0);
		must(buf_len(&again) == buf_len(&out));
		must(memcmp(buf_data(&again), buf_data(&out), buf_len(&out)) == 0);
		must(second.height == first.height);
	}
	buf_fini(&out);
	buf_fini(&again);
	return 0;
}
