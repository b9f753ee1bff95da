/* SPDX-License-Identifier: Apache-2.0 */
/* Many fds as one source of the loop. See poll_set.h. */
/* #syscalls: epoll_create1 epoll_ctl epoll_wait close */
#include "poll_set.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "cleanup.h"

#define READY_MAX 64 /* served in one turn of the loop */

struct poll_set {
	int epoll_fd;
	sd_event_source *io;
	/* What is being served; an item that goes takes its event out. */
	struct epoll_event ready[READY_MAX];
	int n_ready;
};

static int on_ready(sd_event_source *source, int fd, uint32_t revents, void *user)
{
	struct poll_set *set = user;

	set->n_ready = epoll_wait(fd, set->ready, READY_MAX, 0);
	for (int i = 0; i < set->n_ready; i++) {
		struct poll_item *item = set->ready[i].data.ptr;

		if (item) {
			item->ready(item, set->ready[i].events);
		}
	}
	set->n_ready = 0;
	return 0;
}

int poll_set_new(sd_event *event, struct poll_set **ret)
{
	struct poll_set *set = calloc(1, sizeof(*set));
	int err;

	if (!set) {
		return -ENOMEM;
	}
	set->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	err = set->epoll_fd < 0 ? -errno : 0;
	if (err == 0) {
		err = sd_event_add_io(event, &set->io, set->epoll_fd, EPOLLIN, on_ready, set);
	}
	if (err < 0) {
		poll_set_free(set);
		return err;
	}
	*ret = set;
	return 0;
}

struct poll_set *poll_set_free(struct poll_set *set)
{
	if (!set) {
		return NULL;
	}
	sd_event_source_disable_unref(set->io);
	close_fd(set->epoll_fd);
	free(set);
	return NULL;
}

void poll_item_init(struct poll_item *item, struct poll_set *set, int fd,
		    void (*ready)(struct poll_item *item, uint32_t events))
{
	*item = (struct poll_item){ .set = set, .fd = fd, .ready = ready };
}

int poll_item_watch(struct poll_item *item, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = item };

	if (item->watched && item->events == events) {
		return 0;
	}
	if (epoll_ctl(item->set->epoll_fd, item->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, item->fd,
		      &ev) < 0) {
		return -errno;
	}
	item->watched = true;
	item->events = events;
	return 0;
}

void poll_item_off(struct poll_item *item)
{
	if (!item->watched) {
		return;
	}
	(void)epoll_ctl(item->set->epoll_fd, EPOLL_CTL_DEL, item->fd, NULL);
	item->watched = false;
	for (int i = 0; i < item->set->n_ready; i++) {
		if (item->set->ready[i].data.ptr == item) {
			item->set->ready[i].data.ptr = NULL;
		}
	}
}
