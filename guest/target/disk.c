/* SPDX-License-Identifier: Apache-2.0 */
/* The targets' disks as they are in this D-VM. */
#include "disk.h"

#include <dirent.h>
#include <inttypes.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"
#include "parse.h"

static uint64_t sys_number(const char *device, const char *attribute)
{
	_cleanup_free_ char *path = strf("/sys/class/block/%s/%s", device, attribute);
	_cleanup_free_ char *text = NULL;
	uint64_t value;
	size_t len;

	if (!path || file_read(path, 64, &text, &len) < 0) {
		return 0;
	}
	text[strcspn(text, "\n")] = '\0';
	return parse_u64(text, &value) < 0 ? 0 : value;
}

static void fill_mount(struct disk *d)
{
	struct mntent *entry;
	FILE *mounts = setmntent("/proc/self/mounts", "r");

	while (mounts && (entry = getmntent(mounts))) {
		_cleanup_free_ char *real = realpath(entry->mnt_fsname, NULL);

		if (real && strncmp(real, "/dev/", 5) == 0 && strcmp(real + 5, d->device) == 0) {
			snprintf(d->mounted_on, sizeof(d->mounted_on), "%s", entry->mnt_dir);
		}
	}
	if (mounts) {
		endmntent(mounts);
	}
}

static int compare(const void *a, const void *b)
{
	const struct disk *first = a, *second = b;

	return strverscmp(first->name, second->name);
}

size_t disks_of(const char *target, struct disk disks[DISKS_MAX])
{
	_cleanup_free_ char *folder = strf("/dev/target/%s", target);
	DIR *dir = folder ? opendir(folder) : NULL;
	struct dirent *entry;
	size_t n = 0;

	while (dir && n < DISKS_MAX && (entry = readdir(dir))) {
		struct disk *d = &disks[n];
		_cleanup_free_ char *path = strf("%s/%s", folder, entry->d_name);
		_cleanup_free_ char *real = path ? realpath(path, NULL) : NULL;
		_cleanup_free_ char *partition = NULL;
		_cleanup_free_ char *block = NULL;

		/* live memory is a disk too, but none of the target's */
		if (entry->d_name[0] == '.' || strcmp(entry->d_name, "memory") == 0 || !real ||
		    strncmp(real, "/dev/", 5) != 0 || strchr(real + 5, '/')) {
			continue;
		}
		/* ports are here too */
		block = strf("/sys/class/block/%s", real + 5);
		if (!block || access(block, F_OK) < 0) {
			continue;
		}
		memset(d, 0, sizeof(*d));
		snprintf(d->name, sizeof(d->name), "%.63s", entry->d_name);
		snprintf(d->path, sizeof(d->path), "%.159s", path);
		snprintf(d->device, sizeof(d->device), "%.31s", real + 5);
		partition = strf("/sys/class/block/%s/partition", d->device);
		d->partition = partition && access(partition, F_OK) == 0;
		d->size_bytes = sys_number(d->device, "size") * 512;
		d->read_only = sys_number(d->device, "ro") != 0;
		fill_mount(d);
		n++;
	}
	if (dir) {
		closedir(dir);
	}
	qsort(disks, n, sizeof(*disks), compare);
	return n;
}

void size_format(uint64_t bytes, char out[24])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	uint64_t tenths = bytes * 10;
	size_t unit = 0;

	if (bytes > UINT64_MAX / 10) {
		tenths = UINT64_MAX;
	}
	while (tenths >= 10240 && unit + 1 < ARRAY_SIZE(units)) {
		tenths /= 1024;
		unit++;
	}
	if (unit == 0) {
		snprintf(out, 24, "%" PRIu64 " B", bytes);
	} else {
		snprintf(out, 24, "%" PRIu64 ".%" PRIu64 " %s", tenths / 10, tenths % 10,
			 units[unit]);
	}
}
