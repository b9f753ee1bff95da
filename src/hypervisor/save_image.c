/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives a saved domain another identity. libvirt itself lets the name of a saved domain be changed
 * but not its UUID, so of one file only one domain at a time could be restored.
 */
#include "save_image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"

#define SAVE_MAGIC "LibvirtQemudSave"
#define SAVE_VERSION 2

struct save_header {
	char magic[16];
	uint32_t version, data_len, was_running, compressed, cookie_offset, unused[14];
};
static_assert(sizeof(struct save_header) == 92, "as libvirt has it");

static int pwrite_all(int fd, const void *p, size_t len, off_t at)
{
	ssize_t n = pwrite(fd, p, len, at);

	if (n < 0) {
		return -errno;
	}
	return (size_t)n == len ? 0 : -EIO;
}

int save_image_set_domain(const char *path, const char *xml)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct save_header header;
	size_t len = strlen(xml) + 1;
	int r;

	if (fd < 0) {
		return -errno;
	}
	if (pread(fd, &header, sizeof(header), 0) != sizeof(header) ||
	    memcmp(header.magic, SAVE_MAGIC, sizeof(header.magic)) != 0 ||
	    header.version != SAVE_VERSION) {
		return -EBADMSG;
	}
	if (len > header.data_len) {
		return -EMSGSIZE;
	}
	/* The cookie says which CPU it had: what the XML says, which is of the same shape. */
	header.cookie_offset = 0;
	header.was_running = 1;
	r = pwrite_all(fd, &header, sizeof(header), 0);
	return r < 0 ? r : pwrite_all(fd, xml, len, sizeof(header));
}
