/* SPDX-License-Identifier: Apache-2.0 */
/* What a kernel has mounted. */
#include "mounts.h"

#include <stdio.h>
#include <string.h>

#include "counters.h"
#include "object.h"
#include "walk.h"

/* include/linux/mount.h, include/linux/fs.h: unchanged since long before 5.10 */
#define MOUNT_CURSOR 0x10000000u

static const struct {
	uint32_t bit;
	const char *name;
} mount_flags[] = {
	{ 0x01, "nosuid" },  { 0x02, "nodev" },	     { 0x04, "noexec" },
	{ 0x08, "noatime" }, { 0x10, "nodiratime" }, { 0x20, "relatime" },
}, super_flags[] = {
	{ 0x10, "sync" }, { 0x80, "dirsync" }, { 0x40, "mand" }, { 1u << 25, "lazytime" },
};

#define MOUNT_READ_ONLY 0x40u
#define SUPER_READ_ONLY 0x01u

static void add(char *out, size_t size, const char *word)
{
	size_t len = strlen(out);

	snprintf(out + len, size - len, ",%s", word);
}

static void take_space(struct kernel *k, uint64_t super, struct mount_info *m)
{
	uint64_t info = object_u64(k, "super_block", super, "s_fs_info");
	uint64_t block = object_u64(k, "super_block", super, "s_blocksize");
	int64_t total = 0, left = 0;

	if (!info || block == 0 || block > 65536) {
		return;
	}
	if (strcmp(m->type, "ext4") == 0 && object_has(k, "ext4_sb_info", "s_es")) {
		unsigned shift = (unsigned)object_u64(k, "ext4_sb_info", info, "s_cluster_bits");

		total = (int64_t)(object_u64(k, "ext4_sb_info", info, "s_es->s_blocks_count_lo") |
				  object_u64(k, "ext4_sb_info", info, "s_es->s_blocks_count_hi")
					  << 32);
		left = counter_sum(k, object_at(k, "ext4_sb_info", info, "s_freeclusters_counter"));
		left = left > 0 && left < (int64_t)1 << 40 && shift < 20 ? left << shift : 0;
	} else if (strcmp(m->type, "xfs") == 0 && object_has(k, "xfs_mount", "m_sb")) {
		total = (int64_t)object_u64(k, "xfs_mount", info, "m_sb.sb_dblocks");
		left = object_has(k, "xfs_mount", "m_fdblocks")
			       ? counter_sum(k, object_at(k, "xfs_mount", info, "m_fdblocks"))
			       : 0;
	} else if (strcmp(m->type, "tmpfs") == 0 && object_has(k, "shmem_sb_info", "max_blocks")) {
		block = PAGE_BYTES;
		total = (int64_t)object_u64(k, "shmem_sb_info", info, "max_blocks");
		left = (int64_t)((uint64_t)total -
				 (uint64_t)counter_sum(
					 k, object_at(k, "shmem_sb_info", info, "used_blocks")));
	}
	if (total > 0 && left >= 0 && left <= total && (uint64_t)total < UINT64_MAX / block) {
		m->has_space = true;
		m->size_bytes = (uint64_t)total * block;
		m->free_bytes = (uint64_t)left * block;
	}
}

static bool take_mount(struct kernel *k, uint64_t mount, struct mount_info *m)
{
	uint64_t super = object_u64(k, "mount", mount, "mnt.mnt_sb");
	uint32_t flags = (uint32_t)object_u64(k, "mount", mount, "mnt.mnt_flags");
	uint32_t sflags = (uint32_t)object_u64(k, "super_block", super, "s_flags");
	char part[32];

	*m = (struct mount_info){ .address = mount };
	if (flags & MOUNT_CURSOR) {
		return false; /* somebody's place in the list */
	}
	object_text(k, "mount", mount, "mnt_devname", m->source, sizeof(m->source));
	path_text(k, object_at(k, "mount", mount, "mnt"),
		  object_u64(k, "mount", mount, "mnt.mnt_root"), m->path);
	object_text(k, "super_block", super, "s_type->name", m->type, sizeof(m->type));
	if (object_u64(k, "super_block", super, "s_subtype")) {
		object_text(k, "super_block", super, "s_subtype", part, sizeof(part));
		strncat(m->type, ".", sizeof(m->type) - strlen(m->type) - 1);
		strncat(m->type, part, sizeof(m->type) - strlen(m->type) - 1);
	}
	m->read_only = flags & MOUNT_READ_ONLY || sflags & SUPER_READ_ONLY;
	snprintf(m->options, sizeof(m->options), "%s", m->read_only ? "ro" : "rw");
	for (size_t i = 0; i < ARRAY_SIZE(super_flags); i++) {
		if (sflags & super_flags[i].bit) {
			add(m->options, sizeof(m->options), super_flags[i].name);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(mount_flags); i++) {
		if (flags & mount_flags[i].bit) {
			add(m->options, sizeof(m->options), mount_flags[i].name);
		}
	}
	take_space(k, super, m);
	return true;
}

struct collector {
	void (*each)(const struct mount_info *m, void *user);
	void *user;
	unsigned n;
};

static bool visit(struct kernel *k, uint64_t mount, void *user)
{
	struct collector *c = user;
	struct mount_info m;

	if (take_mount(k, mount, &m)) {
		c->each(&m, c->user);
	}
	if (++c->n == MOUNTS_MAX) {
		kernel_mark(k, "there are more than %d mounts", MOUNTS_MAX);
		return false;
	}
	return true;
}

void mounts_each(struct kernel *k, uint64_t task,
		 void (*each)(const struct mount_info *m, void *user), void *user)
{
	struct collector c = { each, user, 0 };
	uint64_t space = object_u64(k, "task_struct", task, "nsproxy->mnt_ns"), mount;
	struct walk walk;

	if (!space) {
		return;
	}
	if (object_has(k, "mnt_namespace", "mounts.rb_node")) { /* 6.8 and later */
		rbtree_walk(k, object_at(k, "mnt_namespace", space, "mounts.rb_node"),
			    object_offset(k, "mount", "mnt_node"), visit, &c);
		return;
	}
	list_begin(&walk, k, object_at(k, "mnt_namespace", space, "list"),
		   object_offset(k, "mount", "mnt_list"));
	while (list_next(&walk, &mount) && visit(k, mount, &c)) {
	}
}
