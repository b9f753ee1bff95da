/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a request's head; one that is taken reads the same after it was passed on. */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "http_head.h"

static void pass_on(const struct http_head *h)
{
	static const char *const drop[] = { "x-forwarded-for", NULL };
	struct http_head again;
	struct buf out;
	size_t used;
	int r;

	buf_init(&out, 4 * HTTP_HEAD_MAX);
	must(http_head_forward(&out, h, drop, NULL) == 0);
	r = http_head_decode((char *)buf_data(&out), buf_len(&out), &again, &used);
	if (r == 1) {
		must(used == buf_len(&out));
		must(again.chunked == h->chunked && again.has_length == h->has_length);
		must(again.content_length == h->content_length);
		must(again.target_len == h->target_len);
		must(memcmp(again.target, h->target, h->target_len) == 0);
		must(!http_head_field(&again, "x-forwarded-for"));
		must(!http_head_field(&again, "upgrade"));
	} else {
		/* One line more than it had. */
		must(r == -EMSGSIZE);
	}
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_head h, part;
	size_t used = 0, part_used;
	int r = http_head_decode((const char *)data, size, &h, &used);

	if (r == 1) {
		must(used <= size && used <= HTTP_HEAD_MAX && h.n_fields <= HTTP_FIELDS_MAX);
		must(!(h.chunked && h.has_length));
		must(http_head_decode((const char *)data, used - 1, &part, &part_used) == 0);
		pass_on(&h);
	}
	if (size > 0) {
		/* What is refused early is refused for good, and what is taken early is taken the
		 * same. */
		int early = http_head_decode((const char *)data, size / 2, &part, &part_used);

		must(early == 0 || early == r);
		must(early != 1 || part_used == used);
	}
	return 0;
}
