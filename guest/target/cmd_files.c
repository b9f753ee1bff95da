/* SPDX-License-Identifier: Apache-2.0 */
/* target files: the open files of one of the target's processes. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "files.h"
#include "memory.h"
#include "net.h"
#include "object.h"

#define FMODE_READ 1u
#define FMODE_WRITE 2u

static const struct column columns[] = {
	{ "fd", "FD", true },
	{ "mode", "MODE", false },
	{ "position", "POSITION", true },
	{ "path", "FILE", false },
};

static void file_row(struct kernel *k, struct table *t, const char *fd, uint64_t file)
{
	uint64_t mode = object_u64(k, "file", file, "f_mode"), socket = path_socket(k, file);
	char path[PATH_TEXT_MAX];

	path_of_file(k, file, path);
	table_text(t, "%s", fd);
	table_text(t, "%s%s", mode & FMODE_READ ? "r" : "", mode & FMODE_WRITE ? "w" : "");
	table_number(t, (int64_t)object_u64(k, "file", file, "f_pos"));
	if (socket) {
		struct socket_info s;

		socket_read(k, socket, &s);
		table_text(t, "%s %s %s %s %s", path, s.protocol, s.local, s.peer, s.state);
	} else {
		table_text(t, "%s", path);
	}
}

static bool visit(struct kernel *k, unsigned fd, uint64_t file, void *user)
{
	char number[16];

	snprintf(number, sizeof(number), "%u", fd);
	file_row(k, user, number, file);
	return true;
}

static void path_row(struct kernel *k, struct table *t, const char *name, uint64_t mnt,
		     uint64_t dentry)
{
	char path[PATH_TEXT_MAX];

	if (!dentry) {
		return;
	}
	path_text(k, mnt, dentry, path);
	table_text(t, "%s", name);
	table_text(t, "-");
	table_none(t);
	table_text(t, "%s", path);
}

static int fill(struct kernel *k, struct invocation *in, struct table *table,
		struct fault *ret_fault)
{
	struct task t;
	uint64_t exe;
	int r = memory_task(k, in->argv[0], &t, ret_fault);

	if (r < 0) {
		return r;
	}
	path_row(k, table, "cwd", object_u64(k, "task_struct", t.address, "fs->pwd.mnt"),
		 object_u64(k, "task_struct", t.address, "fs->pwd.dentry"));
	path_row(k, table, "root", object_u64(k, "task_struct", t.address, "fs->root.mnt"),
		 object_u64(k, "task_struct", t.address, "fs->root.dentry"));
	exe = t.mm ? object_u64(k, "mm_struct", t.mm, "exe_file") : 0;
	if (exe) {
		file_row(k, table, "exe", exe);
	}
	files_each(k, &t, visit, table);
	return 0;
}

int cmd_files(const struct command *c, struct invocation *in)
{
	return in->argc == 1 ? memory_table(in, "files", columns, ARRAY_SIZE(columns), fill)
			     : usage(c);
}
