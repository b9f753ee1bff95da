/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a kernel by their names. */
#include "paths.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "object.h"
#include "text.h"

#define STEPS_MAX 512
#define NAME_MAX_BYTES 256

/* Magic numbers of the file systems that have no paths (include/uapi/linux/magic.h, pipe_fs_i.h).
 */
#define MAGIC_PIPE 0x50495045u
#define MAGIC_SOCKET 0x534f434bu
#define MAGIC_ANONYMOUS 0x09041934u

static bool prepend(char out[PATH_TEXT_MAX], size_t *at, const char *text, size_t len)
{
	if (len > *at) {
		return false;
	}
	*at -= len;
	memcpy(out + *at, text, len);
	return true;
}

static void dentry_name(struct kernel *k, uint64_t dentry, char name[NAME_MAX_BYTES])
{
	uint64_t len = object_u64(k, "dentry", dentry, "d_name.len");

	/* the text ends with a NUL; the length only bounds what is read */
	kernel_text(k, object_u64(k, "dentry", dentry, "d_name.name"), name,
		    (size_t)MIN(len + 1, (uint64_t)NAME_MAX_BYTES));
}

void path_text(struct kernel *k, uint64_t vfsmount, uint64_t dentry, char out[PATH_TEXT_MAX])
{
	char text[PATH_TEXT_MAX], name[NAME_MAX_BYTES];
	uint64_t mount = vfsmount ? vfsmount - object_offset(k, "mount", "mnt") : 0;
	size_t at = sizeof(text) - 1;
	bool whole = true;

	text[at] = '\0';
	for (int steps = 0; whole && dentry; steps++) {
		uint64_t root = mount ? object_u64(k, "mount", mount, "mnt.mnt_root") : 0;
		uint64_t parent = object_u64(k, "dentry", dentry, "d_parent");

		if (steps == STEPS_MAX) {
			kernel_mark(k, "a path has no end");
			break;
		}
		if (dentry == root || parent == dentry || parent == 0) {
			uint64_t above = mount ? object_u64(k, "mount", mount, "mnt_parent") : 0;

			if (dentry != root || above == 0 || above == mount) {
				break;
			}
			dentry = object_u64(k, "mount", mount, "mnt_mountpoint");
			mount = above;
			continue;
		}
		dentry_name(k, dentry, name);
		whole = prepend(text, &at, name, strlen(name)) && prepend(text, &at, "/", 1);
		dentry = parent;
	}
	snprintf(out, PATH_TEXT_MAX, "%s%s", whole ? "" : "...", text[at] ? text + at : "/");
}

uint64_t path_socket(struct kernel *k, uint64_t file)
{
	uint64_t magic = object_u64(k, "file", file, "f_inode->i_sb->s_magic");

	return magic == MAGIC_SOCKET ? object_u64(k, "file", file, "private_data") : 0;
}

void path_of_file(struct kernel *k, uint64_t file, char out[PATH_TEXT_MAX])
{
	uint64_t dentry = object_u64(k, "file", file, "f_path.dentry");
	uint64_t magic = object_u64(k, "file", file, "f_inode->i_sb->s_magic");
	uint64_t inode = object_u64(k, "file", file, "f_inode->i_ino");
	char name[NAME_MAX_BYTES];

	if (magic == MAGIC_SOCKET || magic == MAGIC_PIPE) {
		snprintf(out, PATH_TEXT_MAX, "%s:[%" PRIu64 "]",
			 magic == MAGIC_PIPE ? "pipe" : "socket", inode);
		return;
	}
	if (magic == MAGIC_ANONYMOUS) {
		dentry_name(k, dentry, name);
		snprintf(out, PATH_TEXT_MAX, "anon_inode:%s", name);
		return;
	}
	path_text(k, object_u64(k, "file", file, "f_path.mnt"), dentry, out);
	/* no longer in the table of names, and not a root */
	if (dentry && object_u64(k, "dentry", dentry, "d_hash.pprev") == 0 &&
	    object_u64(k, "dentry", dentry, "d_parent") != dentry) {
		strncat(out, " (deleted)", PATH_TEXT_MAX - strlen(out) - 1);
	}
}
