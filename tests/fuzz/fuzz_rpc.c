/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as an RPC frame; one that is taken is the same after it was written again. */
#include <string.h>

#include "fuzz.h"
#include "rpc.h"

static void write_again(const struct rpc_message *m)
{
	struct rpc_message again;
	struct buf out;
	size_t used;

	buf_init(&out, 8 * RPC_BODY_MAX);
	must(rpc_encode(&out, m) == 0);
	must(rpc_decode(buf_data(&out), buf_len(&out), &again, &used) == 1);
	must(used == buf_len(&out));
	must(again.kind == m->kind && again.id == m->id);
	must(strcmp(again.method, m->method) == 0);
	must(m->kind == RPC_FAULT || json_equal(again.body, m->body));
	must(again.fault.code == m->fault.code);
	rpc_message_fini(&again);
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* The fuzzer writes bodies; the length is put before them, so that it need not guess it. */
	uint8_t *frame = malloc(size + 4);
	struct rpc_message m;
	size_t used;

	must(frame);
	for (int i = 0; i < 4; i++) {
		frame[i] = (uint8_t)(size >> (24 - 8 * i));
	}
	if (size > 0) {
		memcpy(frame + 4, data, size);
	}
	if (rpc_decode(frame, size + 4, &m, &used) == 1) {
		must(used == size + 4);
		write_again(&m);
		rpc_message_fini(&m);
	}
	/* And as it is. */
	if (rpc_decode(data, size, &m, &used) == 1) {
		must(used <= size);
		rpc_message_fini(&m);
	}
	free(frame);
	return 0;
}
