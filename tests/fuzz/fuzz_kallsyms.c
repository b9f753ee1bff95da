/* SPDX-License-Identifier: Apache-2.0 */
/* A symbol table out of a guest's memory: what it holds is found by its own name and address. */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "kallsyms.h"

#define INDEX_BYTES 512
#define OFFSETS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kallsyms_tables t = { .relative_base = 0xffffffff81000000, .n = OFFSETS };
	struct kallsyms *k;
	int r;

	if (size < INDEX_BYTES + OFFSETS * 4 + 2) {
		return 0;
	}
	t.token_index = data;
	t.offsets = data + INDEX_BYTES;
	data += INDEX_BYTES + OFFSETS * 4;
	size -= INDEX_BYTES + OFFSETS * 4;
	t.token_table = data;
	t.token_table_len = size / 2;
	t.names = data + size / 2;
	t.names_len = size - size / 2;
	r = kallsyms_new(&t, &k);
	must(r == 0 || r == -EINVAL);
	if (r < 0) {
		return 0;
	}
	for (size_t i = 0; i < kallsyms_count(k); i++) {
		char name[KALLSYMS_NAME_MAX], type;
		uint64_t address, found, length;

		must(kallsyms_get(k, i, name, &type, &address));
		must(strlen(name) < KALLSYMS_NAME_MAX);
		kallsyms_at(k, address, name, &found, &length);
		kallsyms_find(k, name, &found);
	}
	kallsyms_free(k);
	return 0;
}
