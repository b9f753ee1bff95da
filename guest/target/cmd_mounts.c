/* SPDX-License-Identifier: Apache-2.0 */
/* target mounts: what the target has mounted, as its first process sees it, or another one. */
#include "disk.h"
#include "memory.h"
#include "mounts.h"

static const struct column columns[] = {
	{ "source", "SOURCE", false },	 { "path", "MOUNTED ON", false },
	{ "type", "TYPE", false },	 { "size_bytes", "SIZE", true },
	{ "free_bytes", "FREE", true },	 { "used_percent", "USED", true },
	{ "options", "OPTIONS", false },
};

static void row(const struct mount_info *m, void *user)
{
	struct table *t = user;
	char text[24];

	table_text(t, "%s", m->source[0] ? m->source : "none");
	table_text(t, "%s", m->path);
	table_text(t, "%s", m->type);
	if (m->has_space) {
		unsigned percent =
			(unsigned)(100 - (double)m->free_bytes * 100 / (double)m->size_bytes);

		size_format(m->size_bytes, text);
		table_number_as(t, (int64_t)m->size_bytes, "%s", text);
		size_format(m->free_bytes, text);
		table_number_as(t, (int64_t)m->free_bytes, "%s", text);
		table_number_as(t, percent, "%u%%", percent);
	} else {
		table_none(t);
		table_none(t);
		table_none(t);
	}
	table_text(t, "%s", m->options);
}

static int fill(struct kernel *k, struct invocation *in, struct table *table,
		struct fault *ret_fault)
{
	struct task t;
	int r = memory_task(k, in->argc ? in->argv[0] : "1", &t, ret_fault);

	if (r == 0) {
		mounts_each(k, t.address, row, table);
	}
	return r;
}

int cmd_mounts(const struct command *c, struct invocation *in)
{
	return memory_table(in, "mounts", columns, ARRAY_SIZE(columns), fill);
}
