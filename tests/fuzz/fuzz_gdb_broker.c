/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stub and clients, all hostile. Input: pieces of a byte (low 3 bits: what happens, the rest:
 * length) and, where bytes are put in, that many. Whatever is said, only requests of the table get
 * to the stub, and where nobody may control, none that controls but what lets the target go.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "gdb_broker.h"

#define CLIENTS 3

static void check_to_stub(struct gdb_reader *r, struct buf *b, bool may_control)
{
	while (buf_len(b) > 0) {
		enum gdb_event event;
		size_t used, len;
		const char *body;
		struct gdb_request q;

		must(gdb_reader_input(r, buf_data(b), buf_len(b), &used, &event) == 0);
		buf_consume(b, used);
		must(event != GDB_CORRUPT && event != GDB_NAK);
		if (event != GDB_PACKET) {
			continue;
		}
		body = gdb_reader_body(r, &len);
		gdb_request_parse(body, len, &q);
		must(q.command != GDB_UNKNOWN && q.command != GDB_KILL && q.command != GDB_DETACH);
		must(may_control || q.access == GDB_READS || strcmp(body, "vCont;c") == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gdb_client *clients[CLIENTS] = { NULL };
	struct gdb_reader to_stub;
	struct gdb_broker *b;
	bool may_control, over = false;

	if (size == 0 || size > 100000) {
		return 0;
	}
	may_control = data[0] & 1;
	must(gdb_broker_new(data[0] & 2, &b) == 0);
	gdb_reader_init(&to_stub, false);
	data++;
	size--;
	while (size > 0 && !over) {
		unsigned what = data[0] & 7;
		size_t len = data[0] >> 3;
		struct gdb_client **c = &clients[what % CLIENTS];

		data++;
		size--;
		len = len < size ? len : size;
		switch (what) {
		case 0:
		case 1:
		case 2:
			if (!*c) {
				(void)gdb_client_new(b, may_control, len & 1, c);
				break;
			}
			len = len < gdb_client_room(*c) ? len : gdb_client_room(*c);
			if (gdb_client_input(*c, data, len) < 0 || gdb_client_is_over(*c)) {
				*c = gdb_client_free(*c);
			} else {
				buf_clear(gdb_client_output(*c));
			}
			data += len;
			size -= len;
			break;
		case 3:
		case 4:
			*c = gdb_client_free(*c);
			break;
		case 5:
			gdb_broker_let_go(b);
			break;
		default:
			over = gdb_broker_from_stub(b, data, len) < 0;
			data += len;
			size -= len;
			break;
		}
		check_to_stub(&to_stub, gdb_broker_to_stub(b), may_control);
		(void)gdb_broker_is_idle(b);
	}
	must(gdb_broker_abandon(b) == 0);
	check_to_stub(&to_stub, gdb_broker_to_stub(b), may_control);
	for (size_t i = 0; i < CLIENTS; i++) {
		gdb_client_free(clients[i]);
	}
	gdb_reader_fini(&to_stub);
	gdb_broker_free(b);
	return 0;
}
