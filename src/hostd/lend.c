/* SPDX-License-Identifier: Apache-2.0 */
/* A target's disk and the images it stands on, lent to a D-VM. */
#include "lend.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "parse.h"
#include "qcow2.h"

#define CHAIN_MAX 16

static int disk_fault(struct fault *fault, const char *dev, const char *what)
{
	return fault_set(fault, FAULT_HYPERVISOR_FAILED, "Disk %s %s", dev, what);
}

/* O_NONBLOCK: not to hang on a FIFO that pretends to be an image. */
static int image_open(const char *path)
{
	return open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static int plan_add(json_t *plan, int fd, const char *path, bool readonly)
{
	struct stat st;

	if (fstat(fd, &st) < 0) {
		return -errno;
	}
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
		return -EBADF;
	}
	if (readonly && (st.st_mode & S_IROTH)) {
		return 0;
	}
	return json_array_append_new(plan, json_pack("{sssisi}", "path", path, "uid",
						     (int)st.st_uid, "gid", (int)st.st_gid)) < 0
		       ? -ENOMEM
		       : 0;
}

/* The backing file's name is relative to the folder of the image that names it. */
static char *backing_path(const char *image, const char *backing)
{
	const char *slash = strrchr(image, '/');

	if (backing[0] == '/' || !slash) {
		return strdup(backing);
	}
	return strf("%.*s/%s", (int)(slash - image), image, backing);
}

/* NULL in *ret: it stands on nothing. */
static int backing_of(int fd, const char *path, char **ret, bool *ret_is_qcow2)
{
	_cleanup_free_ uint8_t *head = malloc(QCOW2_HEAD_MAX);
	struct qcow2_backing backing;
	ssize_t n;
	int r;

	if (!head) {
		return -ENOMEM;
	}
	n = pread(fd, head, QCOW2_HEAD_MAX, 0);
	if (n < 0) {
		return -errno;
	}
	r = qcow2_backing_read(head, (size_t)n, &backing);
	if (r < 0) {
		return r;
	}
	*ret = NULL;
	*ret_is_qcow2 = backing.is_qcow2;
	if (!backing.file[0]) {
		return 0;
	}
	if (backing.file[0] != '/' && strchr(backing.file, ':')) {
		return -EOPNOTSUPP; /* "nbd:…", "json:…" */
	}
	*ret = backing_path(path, backing.file);
	return *ret ? 0 : -ENOMEM;
}

static int plan_chain(const struct domain_disk *disk, bool readonly, json_t *plan)
{
	_cleanup_free_ char *path = strdup(disk->source);
	/* Only where the format is stated: a raw image's first bytes are its guest's to write. */
	bool is_qcow2 = strcmp(disk->format, "qcow2") == 0;
	int r = path ? 0 : -ENOMEM;

	for (unsigned depth = 0; r == 0 && path; depth++) {
		_cleanup_close_ int fd = image_open(path);
		_cleanup_free_ char *image = TAKE_PTR(path);

		if (fd < 0) {
			return -errno;
		}
		if (depth == CHAIN_MAX) {
			return -ELOOP;
		}
		r = plan_add(plan, fd, image, readonly || depth > 0);
		if (r == 0 && is_qcow2) {
			r = backing_of(fd, image, &path, &is_qcow2);
		}
	}
	return r;
}

int lend_plan(const struct domain_disk *disk, bool readonly, json_t **ret, struct fault *fault)
{
	json_auto_t *plan = json_array();
	int r;

	if (!plan) {
		return fault_set(fault, FAULT_INTERNAL, "Out of memory");
	}
	r = plan_chain(disk, readonly, plan);
	if (r == -ENOENT) {
		return disk_fault(fault, disk->dev, "is missing");
	}
	if (r == -EOPNOTSUPP) {
		return disk_fault(fault, disk->dev, "stands on an image that is not a local file");
	}
	if (r < 0) {
		return disk_fault(fault, disk->dev, "cannot be read");
	}
	*ret = json_incref(plan);
	return 0;
}

int lend_give(const json_t *plan, uid_t uid, struct fault *fault)
{
	const json_t *entry;
	size_t i;

	json_array_foreach(plan, i, entry)
	{
		_cleanup_close_ int fd =
			image_open(json_string_value(json_object_get(entry, "path")));

		if (fd < 0 || fchown(fd, uid, (gid_t)-1) < 0) {
			return fault_set(fault, FAULT_HYPERVISOR_FAILED,
					 "A disk of the VM could not be given to the debug VM");
		}
	}
	return 0;
}

/* Ours, or root's: libvirt gives a disk to root when a start of the target failed meanwhile. */
static bool is_ours(const struct stat *st, uid_t uid)
{
	return st->st_uid == uid || (st->st_uid == 0 && st->st_gid == 0);
}

void lend_return(const json_t *plan, uid_t uid)
{
	const json_t *entry;
	size_t i;

	json_array_foreach(plan, i, entry)
	{
		const char *path = json_string_value(json_object_get(entry, "path"));
		_cleanup_close_ int fd = image_open(path);
		struct stat st;

		if (fd >= 0 && fstat(fd, &st) == 0 && is_ours(&st, uid)) {
			int r = fchown(fd, (uid_t)json_integer_value(json_object_get(entry, "uid")),
				       (gid_t)json_integer_value(json_object_get(entry, "gid")));

			(void)r; /* we are root: who else could? */
		}
	}
}
