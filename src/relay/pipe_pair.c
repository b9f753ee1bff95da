/* SPDX-License-Identifier: Apache-2.0 */
/* Joins two stream sockets. See pipe_pair.h. */
/* #syscalls: splice pipe2 fcntl shutdown close */
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

struct pipe_ends {
	int in, out; /* -1: there is none */
};

/* From one side to the other. */
struct way {
	struct pipe_ends pipe;
	size_t held;  /* bytes in it */
	bool blocked; /* the side it goes to took no more */
	bool at_end;  /* nothing more comes in */
	bool over;
};

struct side {
	struct poll_item item;
	struct pipe_pair *pair;
	int fd;
	bool gone; /* in both directions: what it said is all there, what is said to it is lost */
};

struct pipe_pair {
	struct pipe_set *set;
	struct side side[2];
	struct way way[2]; /* way[i] is from side[i] */
	void (*ended)(void *user);
	void *user;
};

struct pipe_set {
	struct poll_set *poll;
	struct pipe_ends kept[PIPES_KEPT_MAX];
	unsigned n_kept;
};

static void pipe_close(struct pipe_ends *pipe)
{
	pipe->in = close_fd(pipe->in);
	pipe->out = close_fd(pipe->out);
}

static int pipe_take(struct pipe_set *set, struct pipe_ends *ret)
{
	int fds[2];

	if (set->n_kept > 0) {
		*ret = set->kept[--set->n_kept];
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
static void pipe_give_back(struct pipe_set *set, struct pipe_ends *pipe)
{
	if (set->n_kept < PIPES_KEPT_MAX) {
		set->kept[set->n_kept++] = *pipe;
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
	if (w->pipe.in < 0 && pipe_take(p->set, &w->pipe) < 0) {
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
		pipe_give_back(p->set, &w->pipe);
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
	if (s->gone && events == 0) {
		/* It would wake us for ever; the other side says when it is its turn. */
		poll_item_off(&s->item);
		return 0;
	}
	return poll_item_watch(&s->item, events);
}

/* False: it is over, or cannot go on. */
static bool pair_watch(struct pipe_pair *p)
{
	if (p->way[0].over && p->way[1].over) {
		return false;
	}
	return side_watch(&p->side[0], 0) >= 0 && side_watch(&p->side[1], 1) >= 0;
}

static void pair_unwatch(struct pipe_pair *p)
{
	poll_item_off(&p->side[0].item);
	poll_item_off(&p->side[1].item);
}

static void on_ready(struct poll_item *item, uint32_t events)
{
	struct side *s = container_of(item, struct side, item);
	struct pipe_pair *p = s->pair;
	unsigned i = s == &p->side[1];

	if (events & (EPOLLHUP | EPOLLERR)) {
		s->gone = true;
		if (!p->way[1 - i].over) {
			way_lose(&p->way[1 - i], &p->side[1 - i]);
		}
	}
	if (events & EPOLLOUT) {
		way_move(p, 1 - i);
	}
	if (events & ~(uint32_t)EPOLLOUT) {
		way_move(p, i);
	}
	if (!pair_watch(p)) {
		pair_unwatch(p);
		p->ended(p->user);
	}
}

int pipe_set_new(struct poll_set *poll, struct pipe_set **ret)
{
	struct pipe_set *set = calloc(1, sizeof(*set));

	if (!set) {
		return -ENOMEM;
	}
	set->poll = poll;
	*ret = set;
	return 0;
}

struct pipe_set *pipe_set_free(struct pipe_set *set)
{
	if (!set) {
		return NULL;
	}
	while (set->n_kept > 0) {
		pipe_close(&set->kept[--set->n_kept]);
	}
	free(set);
	return NULL;
}

unsigned pipe_set_kept(const struct pipe_set *set)
{
	return set->n_kept;
}

int pipe_pair_new_take(struct pipe_set *set, int fd, int other_fd, void (*ended)(void *user),
		       void *user, struct pipe_pair **ret)
{
	struct pipe_pair *p = calloc(1, sizeof(*p));
	int err;

	if (!p) {
		close_fd(fd);
		close_fd(other_fd);
		return -ENOMEM;
	}
	p->set = set;
	p->ended = ended;
	p->user = user;
	p->side[0] = (struct side){ .pair = p, .fd = fd };
	p->side[1] = (struct side){ .pair = p, .fd = other_fd };
	poll_item_init(&p->side[0].item, set->poll, fd, on_ready);
	poll_item_init(&p->side[1].item, set->poll, other_fd, on_ready);
	p->way[0].pipe = p->way[1].pipe = (struct pipe_ends){ -1, -1 };
	err = fd_set_nonblock(fd);
	if (err == 0) {
		err = fd_set_nonblock(other_fd);
	}
	if (err == 0 && !pair_watch(p)) {
		err = -EIO;
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
	pair_unwatch(p);
	for (unsigned i = 0; i < ARRAY_SIZE(p->side); i++) {
		pipe_close(&p->way[i].pipe);
		close_fd(p->side[i].fd);
	}
	free(p);
	return NULL;
}
