/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file behind a hub's scrollback. See hub_file.h.
 *
 * Theory of operation: a ring is never made another size in place: whoever is killed in the middle
 * of that would have lost it. The second file becomes a ring in one store, when all is in it; which
 * of two rings is the one to go on with, their heads tell, so that it does not matter when who
 * died.
 */
#include "hub_file.h"

#include <errno.h>
#include <string.h>

#include "hub.h"
#include "log.h"

/* `ring` in the size that is wanted; *ret is untouched where it stays as it is. */
static int resize(const struct ring *ring, int next_fd, size_t size, struct ring **ret)
{
	int err;

	if (next_fd < 0 || ring_size(ring) == size) {
		return -EALREADY;
	}
	err = ring_open_resized(next_fd, size, ring, ret);
	if (err < 0) {
		log_warn("the scrollback keeps its size: %s", strerror(-err));
	}
	return err;
}

static int ring_find(struct relay *relay, int fd, int next_fd, size_t size, struct ring **ret,
		     bool *ret_next)
{
	struct ring *ring, *next = NULL;
	int err = ring_open(fd, size, relay->boot_id, &ring);

	if (err < 0) {
		return err;
	}
	if (next_fd >= 0 && ring_is_ahead(next_fd, ring)) {
		err = ring_open(next_fd, size, relay->boot_id, &next);
		if (err < 0) {
			ring_close(ring);
			return err;
		}
	} else if (resize(ring, next_fd, size, &next) < 0) {
		next = NULL;
	}
	*ret_next = next != NULL;
	if (next) {
		ring_close(ring);
	}
	*ret = next ? next : ring;
	return 0;
}

int hub_file_open(struct relay *relay, int fd, int next_fd, const struct hub_file_options *options,
		  bool *ret_next)
{
	struct ring *ring;
	int err;

	*ret_next = false;
	if (relay->hub) {
		if (resize(hub_ring(relay->hub), next_fd, options->size_bytes, &ring) == 0) {
			hub_ring_replace_take(relay->hub, ring);
			*ret_next = true;
		}
		return 0;
	}
	err = ring_find(relay, fd, next_fd, options->size_bytes, &ring, ret_next);
	if (err < 0) {
		return err;
	}
	err = hub_new_take(ring, options->writable, &relay->hub);
	if (err < 0) {
		ring_close(ring);
	}
	return err;
}
