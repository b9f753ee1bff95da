/* SPDX-License-Identifier: Apache-2.0 */
/* The doctor's checks of what a machine may run out of: memory, room on disks, disks that answer.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor_checks.h"
#include "memory_use.h"
#include "mounts.h"
#include "object.h"
#include "walk.h"

#define MIB ((uint64_t)1024 * 1024)
#define MEMORY_LOW_PERCENT 5
#define SPACE_LOW_PERCENT 2
#define TOP 3
#define DISKS_MAX 256

struct top {
	char name[64];
	int32_t pid;
	uint64_t bytes;
};

static void enter(struct top top[TOP], const char *name, int32_t pid, uint64_t bytes)
{
	for (int i = 0; i < TOP; i++) {
		if (bytes > top[i].bytes) {
			memmove(&top[i + 1], &top[i], sizeof(*top) * (size_t)(TOP - 1 - i));
			top[i] = (struct top){ .pid = pid, .bytes = bytes };
			snprintf(top[i].name, sizeof(top[i].name), "%.63s", name);
			return;
		}
	}
}

static void enter_slab(const struct slab *s, void *user)
{
	enter(user, s->name, 0, s->bytes);
}

void doctor_check_memory(struct doctor *d)
{
	struct top processes[TOP] = { 0 }, slabs[TOP] = { 0 };
	char text[FINDING_TEXT_MAX] = "";
	struct memory_use m;
	size_t len = 0;
	bool kernel;

	memory_use_read(d->k, &m);
	if (m.total == 0 || m.available > m.total / 100 * MEMORY_LOW_PERCENT) {
		return;
	}
	for (size_t i = 0; i < d->tasks.n; i++) {
		const struct task *t = &d->tasks.list[i];

		if (t->mm && !t->kernel_thread && t->pid == t->tgid) {
			struct process_memory p;

			process_memory_read(d->k, t, &p);
			enter(processes, t->name, t->pid, p.anonymous + p.file + p.shared);
		}
	}
	slabs_each(d->k, enter_slab, slabs);
	kernel = m.slab_fixed + m.slab_reclaimable > m.anonymous + m.shared;
	for (int i = 0; i < TOP && processes[i].bytes && !kernel; i++) {
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"%s%.63s (%d) %" PRIu64 " MiB", i ? ", " : "",
					processes[i].name, processes[i].pid,
					processes[i].bytes / MIB);
	}
	for (int i = 0; i < TOP && slabs[i].bytes && kernel; i++) {
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%.63s %" PRIu64 " MiB",
					i ? ", " : "", slabs[i].name, slabs[i].bytes / MIB);
	}
	doctor_found(d, FINDING_CRITICAL, "memory",
		     kernel ? "`target mem slabs` shows more" : "`target mem processes` shows more",
		     "memory is exhausted: about %" PRIu64 " of %" PRIu64
		     " MiB can still be had; %s: %s",
		     m.available / MIB, m.total / MIB,
		     kernel ? "the kernel itself has most of it, in slabs"
			    : "the largest processes",
		     text);
}

static void look_at_mount(const struct mount_info *m, void *user)
{
	struct doctor *d = user;

	if (m->has_space && !m->read_only &&
	    m->free_bytes <= m->size_bytes / 100 * SPACE_LOW_PERCENT) {
		doctor_found(d, FINDING_WARNING, "disk-full", "`target mounts` shows all",
			     "%.100s (%.60s, %s) is full: %" PRIu64 " of %" PRIu64 " MiB are free",
			     m->path, m->source, m->type, m->free_bytes / MIB, m->size_bytes / MIB);
	}
}

void doctor_check_file_systems(struct doctor *d)
{
	const struct task *init = tasks_find(&d->tasks, 1);

	if (init) {
		mounts_each(d->k, init->address, look_at_mount, d);
	}
}

/* Requests that a disk was given and has not answered. */
static int64_t in_flight(struct kernel *k, uint64_t device)
{
	uint64_t stats = object_u64(k, "block_device", device, "bd_stats");
	uint64_t sum = 0;

	for (unsigned cpu = 0; stats && cpu < kernel_cpu_count(k); cpu++) {
		uint64_t at = kernel_cpu_online(k, cpu)
				      ? object_at(k, "disk_stats", kernel_per_cpu(k, stats, cpu),
						  "in_flight")
				      : 0;

		if (at) {
			sum += kernel_u64(k, at) + kernel_u64(k, at + 8);
		}
	}
	return (int64_t)sum;
}

/* The disks that file systems are on. */
void doctor_check_disks(struct doctor *d)
{
	uint64_t head = kernel_symbol_or_zero(d->k, "super_blocks"), super, seen[DISKS_MAX];
	struct walk walk;
	size_t n = 0;

	if (!head || !object_has(d->k, "block_device", "bd_stats") ||
	    !object_has(d->k, "disk_stats", "in_flight")) {
		return;
	}
	list_begin(&walk, d->k, head, object_offset(d->k, "super_block", "s_list"));
	while (n < DISKS_MAX && list_next(&walk, &super)) {
		uint64_t device = object_u64(d->k, "super_block", super, "s_bdev");
		uint64_t disk = device ? object_u64(d->k, "block_device", device, "bd_disk") : 0;
		char name[40];
		int64_t waiting;
		bool known = disk == 0;

		for (size_t i = 0; i < n; i++) {
			known |= seen[i] == disk;
		}
		if (known) {
			continue;
		}
		seen[n++] = disk;
		waiting = in_flight(d->k, object_u64(d->k, "gendisk", disk, "part0"));
		if (waiting > 0) {
			object_text(d->k, "gendisk", disk, "disk_name", name, sizeof(name));
			doctor_found(d, FINDING_WARNING, "disk-busy",
				     "if it stays so the disk does not answer: `target bt "
				     "--blocked` shows who waits",
				     "disk %s has %" PRId64 " request%s that %s not answered yet",
				     name, waiting, waiting == 1 ? "" : "s",
				     waiting == 1 ? "is" : "are");
		}
	}
}
