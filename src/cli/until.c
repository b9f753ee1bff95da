/* SPDX-License-Identifier: Apache-2.0 */
/* Finds a text in a stream that comes in pieces. */
#include "until.h"

#include <errno.h>
#include <string.h>

int until_init(struct until *u, const char *text)
{
	*u = (struct until){ .len = strlen(text) };
	if (u->len == 0) {
		return -EINVAL;
	}
	if (u->len > sizeof(u->text)) {
		return -E2BIG;
	}
	memcpy(u->text, text, u->len);
	return 0;
}

bool until_feed(struct until *u, const uint8_t *p, size_t len, size_t *ret_end)
{
	char edge[2 * UNTIL_MAX];
	size_t head = MIN(len, u->len - 1), edge_len = u->tail_len + head, keep;
	const char *at;

	/* Across the border of two pieces. */
	memcpy(edge, u->tail, u->tail_len);
	memcpy(edge + u->tail_len, p, head);
	at = memmem(edge, edge_len, u->text, u->len);
	if (at) {
		*ret_end = (size_t)(at - edge) + u->len - u->tail_len;
		return true;
	}
	at = memmem(p, len, u->text, u->len);
	if (at) {
		*ret_end = (size_t)(at - (const char *)p) + u->len;
		return true;
	}
	if (len >= u->len - 1) {
		keep = u->len - 1;
		memcpy(u->tail, p + len - keep, keep);
	} else {
		keep = MIN(edge_len, u->len - 1);
		memcpy(u->tail, edge + edge_len - keep, keep);
	}
	u->tail_len = keep;
	return false;
}
