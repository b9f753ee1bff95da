/* SPDX-License-Identifier: Apache-2.0 */
/* Joins two stream sockets. See pipe_pair.h. */
/* #syscalls: splice pipe2 fcntl shutdown close epoll_ctl */
#include "pipe_pair.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "file.h"

#define MOVES_PER_TURN 16 /* then others on the loop have their turn */
#define LITTLE_BYTES 4096

/* From one side to the other. */
struct way {
	struct pipe_ends pipe;
	size_t held;  /* bytes in it */
	bool blocked; /* the side it goes to took no more */
	bool at_end;  /* nothing more comes in */
	bool over;
};

struct side {
	struct pipe_pair *pair;
	int fd;
	sd_event_source *io;
	bool gone; /* in both directions: what it said is all there, what is said to it is lost */
};

struct pipe_pair {
	struct pipe_pool *pool;
	struct side side[2];
	struct way way[2]; /* way[i] is from side[i] */
	void (*ended)(void *user);
	void *user;
};

void pipe_pool_init(struct pipe_pool *pool)
{
	*pool = (struct pipe_pool){ 0 };
}

static void pipe_close(struct pipe_ends *pipe)
{
	pipe->in = close_fd(pipe->in);
	pipe->out = close_fd(pipe->out);
}

void pipe_pool_fini(struct pipe_pool *pool)
{
	while (pool->n_kept > 0) {
		pipe_close(&pool->kept[--pool->n_kept]);
	}
}

static int pipe_take(struct pipe_pool *pool, struct pipe_ends *ret)
{
	int fds[2];

	if (pool->n_kept > 0) {
		*ret = pool->kept[--pool->n_kept];
		return 0;
	}
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
		return -errno;
	}
	/* Refused where the user has many pipes: then it is slower. */
	(void)fcntl(fds[1], F_SETPIPE_SZ, PIPE_PAIR_HELD_MAX);
	*ret = (struct pipe_ends){ .in = fds[1], .out = fds[0] };
	return 0;
}

/* An empty one. */
static void pipe_give_back(struct pipe_pool *pool, struct pipe_ends *pipe)
{
	if (pool->n_kept < PIPE_POOL_KEPT) {
		pool->kept[pool->n_kept++] = *pipe;
		*pipe = (struct pipe_ends){ -1, -1 };
	} else {
		pipe_close(pipe);
	}
}

/* Nothing can be said there any more: what the way holds is lost, and who writes to it is told. */
static void way_lose(struct way *w, const struct side *from)
{
	pipe_close(&w->pipe);
	w->held = 0;
	w->blocked = false;
	w->over = true;
	(void)shutdown(from->fd, SHUT_RD);
}

/* False: nothing to be had for now, or never. */
static bool way_fill(struct pipe_pair *p, struct way *w, const struct side *from)
{
	ssize_t n;

	if (w->at_end) {
		return false;
	}
	if (w->pipe.in < 0 && pipe_take(p->pool, &w->pipe) < 0) {
		w->at_end = true;
		return false;
	}
	do {
		n = splice(from->fd, NULL, w->pipe.in, NULL, PIPE_PAIR_HELD_MAX,
			   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	} while (n < 0 && errno == EINTR);
	if (n <= 0) {
		w->at_end = n == 0 || errno != EAGAIN;
		return false;
	}
	w->held = (size_t)n;
	return true;
}

/* False: the other side takes no more for now, or never. */
static bool way_empty(struct way *w, const struct side *from, const struct side *to)
{
	w->blocked = false;
	while (w->held > 0) {
		ssize_t n = splice(w->pipe.out, NULL, to->fd, NULL, w->held,
				   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			w->blocked = n < 0 && errno == EAGAIN;
			if (!w->blocked) {
				way_lose(w, from);
			}
			return false;
		}
		w->held -= (size_t)n;
	}
	return true;
}

static void way_move(struct pipe_pair *p, unsigned i)
{
	struct way *w = &p->way[i];
	struct side *from = &p->side[i], *to = &p->side[1 - i];

	for (unsigned n = 0; n < MOVES_PER_TURN && !w->over; n++) {
		bool little;

		if (!way_empty(w, from, to) || !way_fill(p, w, from)) {
			break;
		}
		little = w->held < LITTLE_BYTES;
		/* A little is all there was: the next event comes with the next byte. */
		if (!way_empty(w, from, to) || (little && !from->gone)) {
			break;
		}
	}
	if (w->held > 0 || w->over) {
		return;
	}
	if (w->pipe.in >= 0) {
		pipe_give_back(p->pool, &w->pipe);
	}
	if (w->at_end) {
		w->over = true;
		(void)shutdown(to->fd, SHUT_WR);
	}
}

/* The one place that says what to wait for. */
static int side_watch(struct side *s, unsigned i)
{
	const struct way *from_it = &s->pair->way[i], *to_it = &s->pair->way[1 - i];
	uint32_t events = 0;

	if (!from_it->over && !from_it->at_end && from_it->held == 0) {
		events |= EPOLLIN;
	}
	if (to_it->blocked) {
		events |= EPOLLOUT;
	}
	if (events == 0 && s->gone) {
		/* It would wake us for ever; the other side says when it is its turn. */
		return sd_event_source_set_enabled(s->io, SD_EVENT_OFF);
	}
	if (sd_event_source_set_io_events(s->io, events) < 0) {
		return -EIO;
	}
	return sd_event_source_set_enabled(s->io, SD_EVENT_ON);
}

static bool pair_watch(struct pipe_pair *p)
{
	if (p->way[0].over && p->way[1].over) {
		return false;
	}
	return side_watch(&p->side[0], 0) >= 0 && side_watch(&p->side[1], 1) >= 0;
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *user)
{
	struct side *s = user;
	struct pipe_pair *p = s->pair;
	unsigned i = s == &p->side[1];

	if (revents & (EPOLLHUP | EPOLLERR)) {
		s->gone = true;
		if (!p->way[1 - i].over) {
			way_lose(&p->way[1 - i], &p->side[1 - i]);
		}
	}
	if (revents & EPOLLOUT) {
		way_move(p, 1 - i);
	}
	if (revents & ~(uint32_t)EPOLLOUT) {
		way_move(p, i);
	}
	if (!pair_watch(p)) {
		(void)sd_event_source_set_enabled(p->side[0].io, SD_EVENT_OFF);
		(void)sd_event_source_set_enabled(p->side[1].io, SD_EVENT_OFF);
		p->ended(p->user);
	}
	return 0;
}

static int side_start(struct side *s, sd_event *event)
{
	int err = fd_set_nonblock(s->fd);

	return err < 0 ? err : sd_event_add_io(event, &s->io, s->fd, EPOLLIN, on_io, s);
}

int pipe_pair_new_take(sd_event *event, struct pipe_pool *pool, int fd, int other_fd,
		       void (*ended)(void *user), void *user, struct pipe_pair **ret)
{
	struct pipe_pair *p = calloc(1, sizeof(*p));
	int err;

	if (!p) {
		close_fd(fd);
		close_fd(other_fd);
		return -ENOMEM;
	}
	p->pool = pool;
	p->ended = ended;
	p->user = user;
	p->side[0] = (struct side){ .pair = p, .fd = fd };
	p->side[1] = (struct side){ .pair = p, .fd = other_fd };
	p->way[0].pipe = p->way[1].pipe = (struct pipe_ends){ -1, -1 };
	err = side_start(&p->side[0], event);
	if (err >= 0) {
		err = side_start(&p->side[1], event);
	}
	if (err < 0) {
		pipe_pair_free(p);
		return err;
	}
	*ret = p;
	return 0;
}

struct pipe_pair *pipe_pair_free(struct pipe_pair *p)
{
	if (!p) {
		return NULL;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(p->side); i++) {
		sd_event_source_disable_unref(p->side[i].io);
		pipe_close(&p->way[i].pipe);
		close_fd(p->side[i].fd);
	}
	free(p);
	return NULL;
}
