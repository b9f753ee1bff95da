/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A named pool of threads for libraries that block.
 *
 * Theory of operation: one mutex guards three lists: `waiting` (jobs in the order they came),
 * `running`, and `finished` (jobs whose done() is due, and posts). A thread takes the first waiting
 * job whose key does not run already. Whatever enters `finished` rings an eventfd, and the loop's
 * thread empties the list.
 */
#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "cleanup.h"
#include "list.h"

#define THREADS_MAX 64
#define WAITING_MAX 1024
#define WAITING_KEY_MAX 64
#define POSTS_MAX 65536

struct work {
	struct list link;
	char *key;
	worker_fn run, done;
	void *arg;
	bool post;
};

struct worker_pool {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct list waiting, running, finished; /* struct work */
	size_t n_waiting, n_posts;
	bool stop;

	sd_event_source *io;
	int event_fd;
	char name[16];
	pthread_t threads[THREADS_MAX];
	unsigned n_threads;
};

static void work_free(struct work *w)
{
	free(w->key);
	free(w);
}

static bool key_runs(struct worker_pool *p, const char *key)
{
	struct work *w;

	list_for_each (w, &p->running, link) {
		if (w->key && strcmp(w->key, key) == 0) {
			return true;
		}
	}
	return false;
}

/* The lock is held. */
static struct work *next_work(struct worker_pool *p)
{
	struct work *w;

	list_for_each (w, &p->waiting, link) {
		if (!w->key || !key_runs(p, w->key)) {
			return w;
		}
	}
	return NULL;
}

/* Whether too many wait for this key. The lock is held. */
static bool key_is_full(struct worker_pool *p, const char *key)
{
	struct work *w;
	unsigned n = 0;

	list_for_each (w, &p->waiting, link) {
		n += w->key && strcmp(w->key, key) == 0;
	}
	return n >= WAITING_KEY_MAX;
}

/* The lock is held. */
static void finish(struct worker_pool *p, struct work *w)
{
	list_add_tail(&p->finished, &w->link);
	/* Cannot fail: the counter is far from its maximum. */
	eventfd_write(p->event_fd, 1);
}

static void *thread_main(void *arg)
{
	struct worker_pool *p = arg;

	pthread_setname_np(pthread_self(), p->name);
	pthread_mutex_lock(&p->lock);
	while (!p->stop) {
		struct work *w = next_work(p);

		if (!w) {
			pthread_cond_wait(&p->wake, &p->lock);
			continue;
		}
		list_del(&w->link);
		p->n_waiting--;
		list_add_tail(&p->running, &w->link);
		pthread_mutex_unlock(&p->lock);

		w->run(w->arg);

		pthread_mutex_lock(&p->lock);
		list_del(&w->link);
		finish(p, w);
		if (w->key) {
			pthread_cond_broadcast(&p->wake);
		}
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* Runs what is due in the loop's thread, in order, without the lock. */
static void run_finished(struct worker_pool *p)
{
	pthread_mutex_lock(&p->lock);
	while (!list_empty(&p->finished)) {
		struct work *w = container_of(p->finished.next, struct work, link);

		list_del(&w->link);
		p->n_posts -= w->post;
		pthread_mutex_unlock(&p->lock);
		w->done(w->arg);
		work_free(w);
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
}

static int on_event(sd_event_source *source, int fd, uint32_t revents, void *user)
{
	eventfd_t count;

	/* Cleared first: what finishes from now on rings again. */
	eventfd_read(fd, &count);
	run_finished(user);
	return 0;
}

/* Signals belong to the loop's thread. */
static int thread_start(struct worker_pool *p)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&p->threads[p->n_threads], NULL, thread_main, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r == 0) {
		p->n_threads++;
	}
	return -r;
}

int worker_pool_new(sd_event *event, const char *name, unsigned threads, struct worker_pool **ret)
{
	struct worker_pool *p;
	int r = 0;

	if (threads == 0 || threads > THREADS_MAX) {
		return -EINVAL;
	}
	p = calloc(1, sizeof(*p));
	if (!p) {
		return -ENOMEM;
	}
	list_init(&p->waiting);
	list_init(&p->running);
	list_init(&p->finished);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->event_fd < 0) {
		r = -errno;
	} else {
		r = sd_event_add_io(event, &p->io, p->event_fd, EPOLLIN, on_event, p);
	}
	while (r >= 0 && p->n_threads < threads) {
		r = thread_start(p);
	}
	if (r < 0) {
		worker_pool_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

struct worker_pool *worker_pool_free(struct worker_pool *p)
{
	if (!p) {
		return NULL;
	}
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->wake);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->n_threads; i++) {
		pthread_join(p->threads[i], NULL);
	}
	pthread_mutex_lock(&p->lock);
	while (!list_empty(&p->waiting)) {
		struct work *w = container_of(p->waiting.next, struct work, link);

		list_del(&w->link);
		finish(p, w);
	}
	pthread_mutex_unlock(&p->lock);
	run_finished(p);
	sd_event_source_disable_unref(p->io);
	close_fd(p->event_fd);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
	return NULL;
}

int worker_submit(struct worker_pool *p, const char *key, worker_fn run, worker_fn done, void *job)
{
	struct work *w = calloc(1, sizeof(*w));
	int r = 0;

	if (!w) {
		return -ENOMEM;
	}
	w->run = run;
	w->done = done;
	w->arg = job;
	if (key) {
		w->key = strdup(key);
		if (!w->key) {
			work_free(w);
			return -ENOMEM;
		}
	}
	pthread_mutex_lock(&p->lock);
	if (p->stop) {
		r = -ESHUTDOWN;
	} else if (p->n_waiting == WAITING_MAX || (key && key_is_full(p, key))) {
		r = -EAGAIN;
	} else {
		list_add_tail(&p->waiting, &w->link);
		p->n_waiting++;
		pthread_cond_signal(&p->wake);
	}
	pthread_mutex_unlock(&p->lock);
	if (r < 0) {
		work_free(w);
	}
	return r;
}

int worker_post(struct worker_pool *p, worker_fn fn, void *arg)
{
	struct work *w = calloc(1, sizeof(*w));
	int r = 0;

	if (!w) {
		return -ENOMEM;
	}
	w->done = fn;
	w->arg = arg;
	w->post = true;
	pthread_mutex_lock(&p->lock);
	if (p->n_posts == POSTS_MAX) {
		r = -EAGAIN;
	} else {
		p->n_posts++;
		finish(p, w);
	}
	pthread_mutex_unlock(&p->lock);
	if (r < 0) {
		work_free(w);
	}
	return r;
}
