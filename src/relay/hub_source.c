/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target's end of a hub.
 *
 * Theory of operation: whatever the fd has is read at once into the hub. A file gives no event when
 * it grows and cannot be opened again from here: it is looked at every 100 ms. The ring remembers
 * which file it was and where its first byte stands in the stream, so that a relay started anew
 * reads on at the very byte. Each look begins a little before the place where the last one ended:
 * when that is not there any more, or is not what the ring has, the file was cut and written anew,
 * however long it is by now.
 */
/* #syscalls: read write pread64 fstat newfstatat epoll_ctl close */
#include "hub_source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "clock.h"
#include "file.h"
#include "panic_watch.h"

#define READ_BYTES ((size_t)64 * 1024)
#define READS_PER_TURN 8 /* then others on the loop have their turn */
#define READS_AT_END 1024
#define POLL_USEC (100 * USEC_PER_MSEC)
#define OVERLAP_BYTES ((size_t)512)
#define PANIC_PAUSE (10 * USEC_PER_SEC)

struct hub_source {
	struct hub *hub;
	int fd;
	enum hub_source_kind kind;
	bool writable;
	sd_event_source *event;
	sd_event_source *timer, *turn; /* when typing goes on; NULL for a file */
	const struct hub_source_ops *ops;
	void *user;
	uint64_t device, inode; /* of the file */
	uint64_t position;	/* in the file */
	struct panic_watch panic;
	usec_t panicked_at;
};

static void source_feed(struct hub_source *s, const uint8_t *bytes, size_t len)
{
	hub_feed(s->hub, bytes, len);
	if (panic_watch_feed(&s->panic, bytes, len) &&
	    (s->panicked_at == 0 || clock_monotonic() - s->panicked_at > PANIC_PAUSE)) {
		s->panicked_at = clock_monotonic();
		s->ops->panicked(s->panic.text, s->user);
	}
}

/* Reads up to `reads` times: 1 when more may be there, 0 when not for now, -errno, -EPIPE at the
 * end. */
static int stream_read(struct hub_source *s, unsigned reads)
{
	uint8_t bytes[READ_BYTES];

	for (unsigned i = 0; i < reads; i++) {
		ssize_t n = read(s->fd, bytes, sizeof(bytes));

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return errno == EAGAIN ? 0 : -errno;
		}
		if (n == 0) {
			return -EPIPE;
		}
		source_feed(s, bytes, (size_t)n);
	}
	return 1;
}

/* The file's first byte is the stream's next. */
static void file_begin(struct hub_source *s)
{
	struct ring_origin o = { .device = s->device,
				 .inode = s->inode,
				 .base = ring_head(hub_ring(s->hub)) };

	s->position = 0;
	ring_origin_set(hub_ring(s->hub), &o);
}

static bool ring_ends_with(const struct ring *ring, const uint8_t *p, size_t len)
{
	uint64_t head = ring_head(ring);

	while (len > 0) {
		const uint8_t *bytes;
		size_t part = MIN(ring_peek(ring, head - len, &bytes), len);

		if (memcmp(bytes, p, part) != 0) {
			return false;
		}
		p += part;
		len -= part;
	}
	return true;
}

/* Where nothing is kept that could be compared, a cut shows only as long as the file is short. */
static bool is_shorter(const struct hub_source *s)
{
	struct stat st;

	return fstat(s->fd, &st) == 0 && (uint64_t)st.st_size < s->position;
}

/* As stream_read(), but a file has no end. */
static int growth_read(struct hub_source *s, unsigned reads)
{
	const struct ring *ring = hub_ring(s->hub);
	uint8_t bytes[OVERLAP_BYTES + READ_BYTES];

	for (unsigned i = 0; i < reads; i++) {
		uint64_t kept = ring_head(ring) - ring_floor(ring);
		uint64_t known = MIN(s->position, kept);
		size_t old = (size_t)MIN(known, (uint64_t)OVERLAP_BYTES);
		ssize_t n = pread(s->fd, bytes, sizeof(bytes), (off_t)(s->position - old));

		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return -errno;
		}
		if ((size_t)n < old || !ring_ends_with(ring, bytes, old) ||
		    ((size_t)n == old && is_shorter(s))) {
			/* What stood there between our last look and the cut is not known. */
			hub_lost_some(s->hub);
			file_begin(s);
			continue;
		}
		if ((size_t)n == old) {
			return 0;
		}
		s->position += (uint64_t)n - old;
		source_feed(s, bytes + old, (size_t)n - old);
	}
	return 1;
}

static int source_read(struct hub_source *s, unsigned reads)
{
	return s->kind == HUB_SOURCE_FILE ? growth_read(s, reads) : stream_read(s, reads);
}

/* The one place that says what of the input goes now, and what is waited for. */
static int stream_write(struct hub_source *s)
{
	struct typist *typist = hub_typist(s->hub);
	struct buf *input = hub_input(s->hub);
	bool full = false;
	size_t len;
	usec_t at;

	while (s->writable && !full) {
		ssize_t n;

		switch (typist_next(typist, clock_monotonic(), buf_len(input), &len, &at)) {
		case TYPIST_WRITE:
			n = write(s->fd, buf_data(input), len);
			if (n < 0 && errno != EINTR && errno != EAGAIN) {
				return -errno;
			}
			full = n < 0 && errno == EAGAIN;
			if (n > 0) {
				typist_went(typist, clock_monotonic(), (size_t)n);
				hub_input_sent(s->hub, (size_t)n);
			}
			continue;
		case TYPIST_WAIT:
			if (sd_event_source_set_time(s->timer, at) < 0 ||
			    sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT) < 0) {
				return -EIO;
			}
			break;
		case TYPIST_BREAK:
			typist_break_begin(typist);
			s->ops->brk(s->user);
			break;
		case TYPIST_NOTHING:
			break;
		}
		break;
	}
	return sd_event_source_set_io_events(s->event, EPOLLIN | (full ? EPOLLOUT : 0));
}

static void stream_failed(struct hub_source *s)
{
	sd_event_source_set_enabled(s->event, SD_EVENT_OFF);
	s->ops->lost(s->user);
}

static int on_turn(sd_event_source *source, void *user)
{
	if (stream_write(user) < 0) {
		stream_failed(user);
	}
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t now, void *user)
{
	return on_turn(source, user);
}

static int on_stream(sd_event_source *source, int fd, uint32_t revents, void *user)
{
	struct hub_source *s = user;
	int err = 0;

	if (revents & ~(uint32_t)EPOLLOUT) {
		err = source_read(s, READS_PER_TURN);
	}
	if (err >= 0 && (revents & EPOLLOUT)) {
		err = stream_write(s);
	}
	if (err < 0) {
		stream_failed(s);
	}
	return 0;
}

/* Finds the place in the file: where the ring's stream left it, or its start. True when nothing was
 * lost, as far as can be told before it is read. */
static bool file_seek(struct hub_source *s)
{
	uint64_t head = ring_head(hub_ring(s->hub));
	struct ring_origin o;

	ring_origin_get(hub_ring(s->hub), &o);
	if (o.inode != 0 && o.inode == s->inode && o.device == s->device && o.base <= head) {
		s->position = head - o.base;
		return true;
	}
	file_begin(s);
	return false;
}

static int on_poll(sd_event_source *source, uint64_t now, void *user)
{
	struct hub_source *s = user;
	int r = growth_read(s, READS_PER_TURN);

	if (r < 0 || sd_event_source_set_time_relative(source, r > 0 ? 0 : POLL_USEC) < 0 ||
	    sd_event_source_set_enabled(source, SD_EVENT_ONESHOT) < 0) {
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
		s->ops->lost(s->user);
	}
	return 0;
}

static void on_input(void *user)
{
	struct hub_source *s = user;

	/* In the loop's own time: whoever writes much comes back here from hub_input_sent(). */
	(void)sd_event_source_set_enabled(s->turn, SD_EVENT_ONESHOT);
}

static void on_no_input(void *user)
{
}

static int source_start(struct hub_source *s, sd_event *event, const struct hub_source_options *o)
{
	struct ring_origin none = { 0 };
	struct stat st;
	int err;

	if (s->kind == HUB_SOURCE_FILE) {
		if (fstat(s->fd, &st) < 0) {
			return -errno;
		}
		if (!S_ISREG(st.st_mode)) {
			return -EINVAL;
		}
		s->device = st.st_dev;
		s->inode = st.st_ino;
		err = sd_event_add_time_relative(event, &s->event, CLOCK_MONOTONIC, 0, 0, on_poll,
						 s);
		if (err < 0) {
			return err;
		}
		hub_source_up(s->hub, false, file_seek(s) || o->fresh, on_no_input, NULL);
		return 0;
	}
	err = fd_set_nonblock(s->fd);
	if (err == 0) {
		err = sd_event_add_io(event, &s->event, s->fd, EPOLLIN, on_stream, s);
	}
	if (err >= 0) {
		err = sd_event_add_time(event, &s->timer, CLOCK_MONOTONIC, 0, 1, on_timer, s);
	}
	if (err >= 0) {
		err = sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
	}
	if (err >= 0) {
		err = sd_event_add_defer(event, &s->turn, on_turn, s);
	}
	if (err < 0) {
		return err;
	}
	/* With what it says the place in a file that was followed before is no longer known. */
	ring_origin_set(hub_ring(s->hub), &none);
	hub_source_up(s->hub, s->writable, o->fresh, on_input, s);
	on_input(s);
	return 0;
}

int hub_source_new_take(sd_event *event, struct hub *hub, int fd,
			const struct hub_source_options *options, const struct hub_source_ops *ops,
			void *user, struct hub_source **ret)
{
	struct hub_source *s = calloc(1, sizeof(*s));
	int err;

	if (!s) {
		close_fd(fd);
		return -ENOMEM;
	}
	s->hub = hub;
	s->fd = fd;
	s->kind = options->kind;
	s->writable = options->writable && options->kind == HUB_SOURCE_STREAM;
	s->ops = ops;
	s->user = user;
	err = source_start(s, event, options);
	if (err < 0) {
		sd_event_source_disable_unref(s->event);
		sd_event_source_disable_unref(s->timer);
		sd_event_source_disable_unref(s->turn);
		close_fd(s->fd);
		free(s);
		return err;
	}
	*ret = s;
	return 0;
}

struct hub_source *hub_source_free(struct hub_source *s)
{
	if (!s) {
		return NULL;
	}
	if (source_read(s, READS_AT_END) > 0) {
		hub_lost_some(s->hub);
	}
	sd_event_source_disable_unref(s->event);
	sd_event_source_disable_unref(s->timer);
	sd_event_source_disable_unref(s->turn);
	close_fd(s->fd);
	free(s);
	return NULL;
}
