/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches the files that consoles are read from.
 *
 * Theory of operation: a relay has the file open and cannot see that it has got another name. The
 * watch is on the inode, so it stands whatever the file is called by now; one that was renamed
 * before the watch stood is found by the refresh that follows each new watch. A refresh that finds
 * nothing new sets the same watch again, which does nothing.
 */
#include "log_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "log.h"
#include "map.h"
#include "methods.h"
#include "relay.h"

struct log_watch {
	struct hostd *hostd;
	char vm[DVM_SESSION_MAX + 1];
	dev_t device;
	ino_t inode;
	sd_event_source *event;
};

struct log_watches {
	struct hostd *hostd;
	struct map *by_vm;
};

static void watch_free(struct log_watch *watch)
{
	if (watch) {
		sd_event_source_disable_unref(watch->event);
		free(watch);
	}
}

int log_watches_new(struct hostd *h, struct log_watches **ret)
{
	_cleanup_free_ struct log_watches *w = calloc(1, sizeof(*w));

	if (!w) {
		return -ENOMEM;
	}
	w->hostd = h;
	w->by_vm = map_new();
	if (!w->by_vm) {
		return -ENOMEM;
	}
	*ret = TAKE_PTR(w);
	return 0;
}

struct log_watches *log_watches_free(struct log_watches *w)
{
	const char *vm;
	size_t it = 0;
	void *watch;

	while (w && (watch = map_next(w->by_vm, &it, &vm))) {
		map_remove(w->by_vm, vm);
		watch_free(watch);
	}
	if (w) {
		map_free(w->by_vm);
		free(w);
	}
	return NULL;
}

static int on_change(sd_event_source *source, const struct inotify_event *event, void *user)
{
	struct log_watch *watch = user;
	struct hostd *h = watch->hostd;

	if (relay_find(h->relays, watch->vm)) {
		console_refresh_start(h, watch->vm);
		return 0;
	}
	/* The console is kept no longer. */
	map_remove(h->log_watches->by_vm, watch->vm);
	watch_free(watch);
	return 0;
}

static int watch_begin(struct log_watches *w, const char *vm, int fd, const struct stat *st)
{
	struct log_watch *watch = calloc(1, sizeof(*watch));
	int r;

	if (!watch) {
		return -ENOMEM;
	}
	watch->hostd = w->hostd;
	strcpy(watch->vm, vm);
	watch->device = st->st_dev;
	watch->inode = st->st_ino;
	/* IN_ATTRIB: the last name of a file that is open elsewhere is removed. */
	r = sd_event_add_inotify_fd(w->hostd->event, &watch->event, fd,
				    IN_MOVE_SELF | IN_DELETE_SELF | IN_ATTRIB, on_change, watch);
	if (r >= 0) {
		r = map_put(w->by_vm, vm, watch, NULL);
	}
	if (r < 0) {
		watch_free(watch);
		return r;
	}
	console_refresh_start(w->hostd, vm);
	return 0;
}

struct set_job {
	struct hostd *hostd;
	char vm[DVM_SESSION_MAX + 1];
	int fd;
};

static void loop_set(void *arg)
{
	struct set_job *job = arg;
	struct log_watches *w = job->hostd->log_watches;
	struct log_watch *old = map_get(w->by_vm, job->vm);
	struct stat st = { 0 };
	int r = 0;

	if (job->fd >= 0 && fstat(job->fd, &st) < 0) {
		r = -errno;
	} else if (!old || job->fd < 0 || old->inode != st.st_ino || old->device != st.st_dev) {
		map_remove(w->by_vm, job->vm);
		watch_free(old);
		if (job->fd >= 0 && !job->hostd->stopping) {
			r = watch_begin(w, job->vm, job->fd, &st);
		}
	}
	if (r < 0) {
		log_warn("%s: the console's file is not watched: %s, ignoring", job->vm,
			 strerror(-r));
	}
	close_fd(job->fd);
	free(job);
}

void log_watch_set(struct hostd *h, const char *vm, int fd)
{
	struct set_job *job = calloc(1, sizeof(*job));

	if (job) {
		*job = (struct set_job){ .hostd = h, .fd = -1 };
		strcpy(job->vm, vm);
		job->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	}
	if (!job || (fd >= 0 && job->fd < 0) || worker_post(h->workers, loop_set, job) < 0) {
		log_warn("%s: the console's file is not watched, ignoring", vm);
		if (job) {
			close_fd(job->fd);
		}
		free(job);
	}
}
