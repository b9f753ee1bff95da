/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Viewer and display, both hostile. Input: one byte of flags, then pieces of a byte (bit 7: from
 * the display; the rest: length) and that many bytes.
 */
#include <errno.h>

#include "fuzz.h"
#include "rfb.h"

/* Of what gets to a display behind the handshake, each message is one that may, and where one may
 * only watch, none is input. Consumes whole messages. */
static void check_display(struct buf *b, bool view_only, size_t *io_text)
{
	while (buf_len(b) > 0) {
		const uint8_t *p = buf_data(b);
		size_t len = 0, n = buf_len(b);

		if (*io_text > 0) {
			len = n < *io_text ? n : *io_text;
			*io_text -= len;
			buf_consume(b, len);
			continue;
		}
		must(p[0] == 0 || (p[0] >= 2 && p[0] <= 6) || p[0] == 255);
		must(!view_only || (p[0] != 4 && p[0] != 5 && p[0] != 6));
		switch (p[0]) {
		case 0:
			len = 20;
			break;
		case 2:
			must(n >= 4);
			len = 4 + 4 * (size_t)(p[2] << 8 | p[3]);
			must(len <= RFB_HELD_MAX);
			break;
		case 3:
			len = 10;
			break;
		case 4:
			len = 8;
			break;
		case 5:
			len = 6;
			break;
		case 6:
			must(n >= 8);
			len = 8;
			*io_text = (size_t)p[4] << 24 | p[5] << 16 | p[6] << 8 | p[7];
			must(*io_text <= RFB_CUT_TEXT_MAX);
			break;
		default:
			must(n >= 4 && p[1] <= 1);
			must(!view_only || p[1] == 1);
			len = p[1] == 0 ? 12 : p[3] == 2 ? 10 : 4;
			break;
		}
		must(len <= n); /* never half a message */
		buf_consume(b, len);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* What we ourselves say to a display before messages. */
	static const char hello[] = "RFB 003.008\n\1\1";
	size_t said = 0, text = 0;
	struct buf to_display, to_viewer;
	struct rfb *f;
	bool view_only;

	if (size == 0 || size > 100000) {
		return 0;
	}
	view_only = data[0] & 1;
	data++;
	size--;
	buf_init(&to_display, RFB_OUT_ROOM(128));
	buf_init(&to_viewer, RFB_OUT_ROOM(128));
	must(rfb_new("name", view_only, &f) == 0);
	must(rfb_start(f, &to_viewer) == 0);
	while (size > 0) {
		size_t len = data[0] & 0x7f;
		bool display = data[0] & 0x80;
		int r;

		data++;
		size--;
		if (len > size) {
			len = size;
		}
		r = display ? rfb_from_display(f, data, len, &to_display, &to_viewer)
			    : rfb_from_viewer(f, data, len, &to_display, &to_viewer);
		must(r == 0 || r == -EPROTO); /* there is always room */
		if (r < 0) {
			break;
		}
		data += len;
		size -= len;
		while (said < sizeof(hello) - 1 && buf_len(&to_display) > 0) {
			must(buf_data(&to_display)[0] == (uint8_t)hello[said]);
			buf_consume(&to_display, 1);
			said++;
		}
		check_display(&to_display, view_only, &text);
		buf_clear(&to_viewer);
	}
	rfb_free(f);
	buf_fini(&to_display);
	buf_fini(&to_viewer);
	return 0;
}
