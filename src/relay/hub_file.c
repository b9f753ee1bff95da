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

#include "history.h"
#include "hub.h"
#include "log.h"

/* `ring` as it is wanted; *ret is NULL where it stays as it is. */
static int change(const struct ring *ring, int next_fd, const struct hub_file_options *o,
		  struct ring **ret)
{
	int err;

	*ret = NULL;
	if (ring_size(ring) == o->size_bytes && ring_is_kept(ring) == o->kept) {
		return 0;
	}
	if (next_fd < 0) {
		/* What is not to be kept is not begun in a file. */
		return o->kept || !ring_is_kept(ring) ? 0 : -EINVAL;
	}
	err = ring_open_resized(next_fd, o->size_bytes, o->kept, ring, ret);
	if (err < 0 && (o->kept || !ring_is_kept(ring))) {
		log_warn("the scrollback stays as it is: %s", strerror(-err));
		return 0;
	}
	return err;
}

static int ring_find(struct relay *relay, int fd, int next_fd, const struct hub_file_options *o,
		     struct ring **ret, bool *ret_next)
{
	struct ring *ring, *next = NULL;
	int err = ring_open(fd, o->size_bytes, relay->boot_id, &ring);

	if (err < 0) {
		return err;
	}
	if (next_fd >= 0 && ring_is_ahead(next_fd, ring)) {
		err = ring_open(next_fd, o->size_bytes, relay->boot_id, &next);
	} else {
		err = change(ring, next_fd, o, &next);
	}
	if (err < 0) {
		ring_close(ring);
		return err;
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
	if (!options->kept) {
		/* It reads, too. */
		relay->history = history_free(relay->history);
	}
	if (relay->hub) {
		err = change(hub_ring(relay->hub), next_fd, options, &ring);
		if (err == 0 && ring) {
			hub_ring_replace_take(relay->hub, ring);
			*ret_next = true;
		}
		return err;
	}
	err = ring_find(relay, fd, next_fd, options, &ring, ret_next);
	if (err < 0) {
		return err;
	}
	err = hub_new_take(ring, options->writable, &relay->hub);
	if (err < 0) {
		ring_close(ring);
	}
	return err;
}
