/* SPDX-License-Identifier: Apache-2.0 */
/* A peer, hostile. Input: one byte (bit 0: a stub), then its bytes. What is read and encoded again
 * must read the same. */
#include <string.h>

#include "fuzz.h"
#include "gdb.h"

static void check_same(const char *body, size_t len)
{
	struct gdb_reader r;
	struct buf out;
	enum gdb_event event;
	const char *again;
	size_t used, again_len;

	buf_init(&out, GDB_ENCODED_MAX(GDB_PACKET_MAX));
	gdb_reader_init(&r, true);
	must(gdb_encode(&out, body, len) == 0);
	must(gdb_reader_input(&r, buf_data(&out), buf_len(&out), &used, &event) == 0);
	must(event == GDB_PACKET && used == buf_len(&out));
	again = gdb_reader_body(&r, &again_len);
	must(again_len == len && memcmp(again, body, len) == 0);
	gdb_reader_fini(&r);
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gdb_reader r;

	if (size == 0) {
		return 0;
	}
	gdb_reader_init(&r, data[0] & 1);
	data++;
	size--;
	while (size > 0) {
		enum gdb_event event;
		size_t used, len;

		if (gdb_reader_input(&r, data, size, &used, &event) < 0) {
			break;
		}
		must(used > 0 && used <= size && (event != GDB_MORE || used == size));
		data += used;
		size -= used;
		if (event == GDB_PACKET) {
			const char *body = gdb_reader_body(&r, &len);
			struct gdb_request q;

			must(len <= GDB_PACKET_MAX && body[len] == '\0');
			gdb_request_parse(body, len, &q);
			must(q.command < _GDB_COMMAND_MAX && q.n_args <= GDB_ARGS_MAX);
			must(!q.bytes || (q.bytes >= body && q.bytes + q.bytes_len <= body + len));
			(void)gdb_reply_is_stop(body, len);
			(void)gdb_reply_is_exit(body, len);
			(void)gdb_reply_is_error(body, len);
			check_same(body, len);
		}
	}
	gdb_reader_fini(&r);
	return 0;
}
