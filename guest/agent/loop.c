/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's event loop: epoll, a few timers, nothing else. */
#include "loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"

#define EVENTS_PER_WAIT 32

int loop_init(struct loop *l, void (*prepare)(struct loop *l))
{
	*l = (struct loop){ .prepare = prepare };
	list_init(&l->timers);
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return l->epoll_fd < 0 ? -errno : 0;
}

void loop_fini(struct loop *l)
{
	l->epoll_fd = close_fd(l->epoll_fd);
}

void loop_stop(struct loop *l, int result)
{
	l->stop = true;
	l->result = result;
}

void source_init_take(struct source *s, struct loop *l, int fd,
		      void (*ready)(struct source *, uint32_t))
{
	*s = (struct source){ .fd = fd, .ready = ready, .loop = l };
}

void source_watch(struct source *s, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = s };

	if (s->fd < 0 || (s->watched ? s->events == events : events == 0)) {
		return;
	}
	if (events == 0) {
		/* not MOD with 0: EPOLLHUP would still be reported, again and again */
		epoll_ctl(s->loop->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
		s->watched = false;
	} else if (epoll_ctl(s->loop->epoll_fd, s->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s->fd,
			     &event) == 0) {
		s->watched = true;
	}
	s->events = events;
}

void source_close(struct source *s)
{
	source_watch(s, 0);
	s->fd = close_fd(s->fd);
}

void timer_init(struct timer *t, void (*fire)(struct timer *))
{
	*t = (struct timer){ .fire = fire };
	list_init(&t->list);
}

void timer_arm(struct loop *l, struct timer *t, usec_t in)
{
	struct timer *other;

	timer_cancel(t);
	t->at = clock_monotonic() + in;
	/* sorted: insert before the first that is later */
	list_for_each (other, &l->timers, list) {
		if (other->at > t->at) {
			break;
		}
	}
	list_add_tail(&other->list, &t->list);
}

void timer_cancel(struct timer *t)
{
	list_del(&t->list);
}

/* Fires what is due; returns how long to wait for the next, in ms, -1 for ever. */
static int timers_run(struct loop *l)
{
	while (!list_empty(&l->timers)) {
		struct timer *first = container_of(l->timers.next, struct timer, list);
		usec_t now = clock_monotonic();

		if (first->at > now) {
			return (int)((first->at - now) / USEC_PER_MSEC) + 1;
		}
		timer_cancel(first);
		first->fire(first);
	}
	return -1;
}

int loop_run(struct loop *l)
{
	while (!l->stop) {
		struct epoll_event events[EVENTS_PER_WAIT];
		int n, wait_ms = timers_run(l);

		l->again = false;
		l->prepare(l);
		if (l->stop) {
			break;
		}
		n = epoll_wait(l->epoll_fd, events, EVENTS_PER_WAIT, l->again ? 0 : wait_ms);
		if (n < 0 && errno != EINTR) {
			return -errno;
		}
		for (int i = 0; i < n; i++) {
			struct source *s = events[i].data.ptr;

			/* may have been closed by one before it in this batch */
			if (s->fd >= 0 && s->watched) {
				s->ready(s, events[i].events);
			}
		}
	}
	return l->result;
}
