/* SPDX-License-Identifier: Apache-2.0 */
/* target maps: the address space of one of the target's processes. */
#include <inttypes.h>

#include "disk.h"
#include "files.h"
#include "memory.h"

static const struct column columns[] = {
	{ "start", "START", false },	    { "end", "END", false },
	{ "size_bytes", "SIZE", true },	    { "rights", "RIGHTS", false },
	{ "offset_bytes", "OFFSET", true }, { "name", "WHAT", false },
};

static void row(const struct area *a, void *user)
{
	struct table *t = user;
	char size[24];

	size_format(a->end - a->start, size);
	table_text(t, "%012" PRIx64, a->start);
	table_text(t, "%012" PRIx64, a->end);
	table_number_as(t, (int64_t)(a->end - a->start), "%s", size);
	table_text(t, "%c%c%c%c", a->read ? 'r' : '-', a->write ? 'w' : '-', a->execute ? 'x' : '-',
		   a->shared ? 's' : 'p');
	table_number_as(t, (int64_t)a->offset_bytes, "%" PRIx64, a->offset_bytes);
	table_text(t, "%s", a->name);
}

static int fill(struct kernel *k, struct invocation *in, struct table *table,
		struct fault *ret_fault)
{
	struct task t;
	int r = memory_task(k, in->argv[0], &t, ret_fault);

	if (r == 0) {
		areas_each(k, &t, row, table);
	}
	return r;
}

int cmd_maps(const struct command *c, struct invocation *in)
{
	return in->argc == 1 ? memory_table(in, "areas", columns, ARRAY_SIZE(columns), fill)
			     : usage(c);
}
