/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as tunnel frames; a frame that is taken is written again byte for byte. */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "tunnel.h"

static void write_again(const struct tunnel_frame *f, const uint8_t *bytes, size_t len)
{
	struct buf out;
	int r;

	buf_init(&out, TUNNEL_HEADER_BYTES + TUNNEL_PAYLOAD_MAX);
	r = tunnel_encode(&out, f);
	if (r == 0) {
		must(buf_len(&out) == len && memcmp(buf_data(&out), bytes, len) == 0);
	} else {
		must(r == -EINVAL && f->type == TUNNEL_CTL);
		must(f->ctl.op == 0 || f->ctl.op > TUNNEL_CTL_SOURCE);
	}
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t at = 0, skip = tunnel_skip_to_hello(data, size);

	must(skip <= size);
	must(tunnel_skip_to_hello(data + skip, size - skip) == 0);
	while (at < size) {
		struct tunnel_frame f, part;
		size_t used, part_used;
		int r = tunnel_decode(data + at, size - at, &f, &used);

		if (r <= 0) {
			break;
		}
		must(used <= size - at && used == tunnel_frame_size(data + at));
		must(tunnel_decode(data + at, used - 1, &part, &part_used) == 0);
		write_again(&f, data + at, used);
		at += used;
	}
	return 0;
}
