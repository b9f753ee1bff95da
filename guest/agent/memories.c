/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The targets' live memory.
 *
 * A disk's pages stay in the page cache once they are read, and memory does not stay as it was: so
 * a second after somebody has read of it, what is cached is dropped. Whoever cannot wait so long
 * reads with O_DIRECT.
 */
#include "memories.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent.h"
#include "cleanup.h"
#include "clock.h"
#include "file.h"
#include "log.h"
#include "parse.h"

#define LINK "/dev/target-memory"
#define STALE_AFTER USEC_PER_SEC

/* The third number of its statistics: sectors read. */
static bool sectors_read(const char *block, char ret[32])
{
	_cleanup_free_ char *path = strf("/sys/block/%s/stat", block);
	_cleanup_free_ char *text = NULL;
	const char *p;
	size_t len;

	if (!path || file_read(path, 512, &text, &len) < 0) {
		return false;
	}
	p = text;
	for (unsigned i = 0; i < 2; i++) {
		p += strspn(p, " ");
		p += strcspn(p, " ");
	}
	p += strspn(p, " ");
	snprintf(ret, 32, "%.*s", (int)MIN(strcspn(p, " \n"), (size_t)31), p);
	return true;
}

static void cache_drop(struct memory *device)
{
	_cleanup_free_ char *path = strf("/dev/%s", device->block);
	_cleanup_close_ int fd = -1;
	char sectors[32];

	if (!path || !sectors_read(device->block, sectors) ||
	    strcmp(sectors, device->sectors) == 0) {
		return;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && ioctl(fd, BLKFLSBUF) == 0) {
		strcpy(device->sectors, sectors);
	}
}

static void timer_fire(struct timer *t)
{
	struct memories *m = container_of(t, struct memories, timer);

	for (size_t i = 0; i < m->n; i++) {
		cache_drop(&m->devices[i]);
	}
	if (m->n > 0) {
		timer_arm(&m->agent->loop, t, STALE_AFTER);
	}
}

void memories_init(struct memories *m, struct agent *a)
{
	*m = (struct memories){ .agent = a };
	timer_init(&m->timer, timer_fire);
}

void memories_scan_begin(struct memories *m)
{
	m->n = 0;
	timer_cancel(&m->timer);
}

static void link_make(const char *block, const char *path)
{
	if (symlink(block, path) < 0 && errno != EEXIST) {
		log_warn("%s cannot be made, ignoring", path);
	}
}

void memories_add(struct memories *m, uint32_t target, const char *block)
{
	const char *name = identity_target(&m->agent->identity, target);
	_cleanup_free_ char *path = name ? strf(LINK ".%s", name) : NULL;
	struct memory *device;

	if (!path || m->n == CONFIG_TARGETS_MAX || strlen(block) >= sizeof(device->block)) {
		return;
	}
	device = &m->devices[m->n++];
	*device = (struct memory){ 0 };
	strcpy(device->block, block);
	link_make(block, path);
	if (target == 0) {
		link_make(block, LINK);
	}
	if (m->n == 1) {
		timer_arm(&m->agent->loop, &m->timer, STALE_AFTER);
	}
}
